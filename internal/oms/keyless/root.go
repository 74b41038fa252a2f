package keyless

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// maxDocument bounds a trusted root, a signing configuration and a token, in
// bytes. Those of the public instance have less than 16 KiB.
const maxDocument = 4 << 20

// Root is a trusted root: the certificate authorities, logs and time-stamping
// authorities of a Sigstore instance, each with the time it was trusted for.
type Root struct{ material *root.TrustedRoot }

// ReadRoot reads a trusted root (trusted_root.json). The error is a
// [fault.Invalid], or a [fault.Incomplete] when r fails.
func ReadRoot(r io.Reader) (*Root, error) {
	data, err := readDocument(r)
	if err != nil {
		return nil, fmt.Errorf("read trusted root: %w", err)
	}
	material, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read trusted root: %s", shown(err)).
			WithHint("give the trusted_root.json of the Sigstore instance that the signatures come from")
	}
	return &Root{material}, nil
}

func readDocument(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	switch {
	case err != nil:
		return nil, fault.New(fault.Incomplete, "%w", err)
	case len(data) > maxDocument:
		return nil, fault.New(fault.Invalid, "it has more than %d bytes", maxDocument)
	}
	return data, nil
}

// shown returns the text of an error that may hold what an attacker wrote, of
// any length, as it may be shown.
func shown(err error) string {
	const most = 400
	text := err.Error()
	if len(text) > most {
		text = text[:most] + " …"
	}
	return artifact.Quote(text)
}

// maxToken bounds a time-stamp token, in bytes. With its certificates one has
// a few thousand.
const maxToken = 64 << 10

// Timestamp returns the time at which a time-stamping authority of the trusted
// root says that the signature was there. It fits oms.Trust.Timestamp.
func (r *Root) Timestamp(signature, token []byte) (time.Time, error) {
	if len(token) > maxToken {
		return time.Time{}, fmt.Errorf("time stamp of %d bytes, and %d are allowed", len(token), maxToken)
	}
	reason := errors.New("the trusted root names no time-stamping authority")
	for _, authority := range r.material.TimestampingAuthorities() {
		stamp, err := authority.Verify(token, signature)
		if err == nil {
			return stamp.Time, nil
		}
		reason = err
	}
	return time.Time{}, fmt.Errorf("verify time stamp: %s", shown(reason))
}
