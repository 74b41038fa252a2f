// Package stableid makes UUIDs that follow from what they name, so that the
// same thing has the same id in every export. It knows nothing of the things,
// and its ids are no secrets.
package stableid

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 prescribes it; nothing is protected by it
	"encoding/hex"
	"fmt"
)

// UUID is a UUID as defined by RFC 9562.
type UUID [16]byte

// Namespace is that of weightwarden's own ids, itself the version 5 UUID of
// the URL https://github.com/weightwarden/weightwarden.
var Namespace = New(url, "https://github.com/weightwarden/weightwarden")

// url is the namespace for URLs of RFC 9562, section 6.6.
var url = UUID{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// New returns the version 5 UUID of name in the namespace.
func New(namespace UUID, name string) UUID {
	sum := sha1.Sum(append(namespace[:], name...)) //nolint:gosec // see the import
	var u UUID
	copy(u[:], sum[:])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

// Parse reads the usual form with hyphens.
func Parse(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("%.50q is no UUID", s)
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return u, fmt.Errorf("%.50q is no UUID", s)
	}
	copy(u[:], b)
	return u, nil
}

// String returns the usual form with hyphens.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
