package approval

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

// keyType is the only type of key that counts. Others have parameters that
// can be wrong, or signatures that are not unique.
const keyType = "ssh-ed25519"

// Key is a public key that people sign with. Its text is the one line that
// OpenSSH writes, without the comment.
type Key struct {
	Ed25519 ed25519.PublicKey `json:"ed25519"`
}

// ParseKey reads a line "ssh-ed25519 AAAA… comment".
func ParseKey(line string) (Key, error) {
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != keyType {
		return Key{}, fmt.Errorf("key %.60q: not of the form %q", line, keyType+" AAAA…")
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(words[1])
	if err != nil {
		return Key{}, fmt.Errorf("key %.60q: not base64", line)
	}
	return parseKeyBlob(blob)
}

func parseKeyBlob(blob []byte) (Key, error) {
	w := wire{rest: blob}
	kind, point := w.text(), w.text()
	if w.bad || len(w.rest) > 0 || string(kind) != keyType || len(point) != ed25519.PublicKeySize {
		return Key{}, fmt.Errorf("not an %s key", keyType)
	}
	return Key{ed25519.PublicKey(bytes.Clone(point))}, nil
}

func (k Key) blob() []byte { return appendText(appendText(nil, []byte(keyType)), k.Ed25519) }

// Equal reports whether both are the same key.
func (k Key) Equal(other Key) bool { return k.Ed25519.Equal(other.Ed25519) }

// String returns the line of OpenSSH without a comment.
func (k Key) String() string { return keyType + " " + base64.StdEncoding.EncodeToString(k.blob()) }

// MarshalText returns [Key.String].
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Key) UnmarshalText(text []byte) error {
	parsed, err := ParseKey(string(text))
	*k = parsed
	return err
}
