package trust

import (
	"fmt"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// DeniedSigner returns the denial of a signer, by the hint of the key or by
// name, if there is one.
func (s *State) DeniedSigner(hint, name string) (At[Denial], bool) {
	if hint == "" {
		hint, _ = strings.CutPrefix(name, "key:")
	}
	if d, ok := s.Denied(Key, hint); ok && hint != "" {
		return d, true
	}
	d, ok := s.Denied(Identity, name)
	return d, ok && name != ""
}

// Revoked says why nobody vouches for a baseline any more, or "": what it pins,
// or who vouched for it, was put on the deny-list since.
func (s *State) Revoked(b BaselineSet) string {
	d, ok := s.DeniedAmong(b.Root, nil)
	if !ok {
		d, ok = s.DeniedAmong(b.Signed, nil)
	}
	if !ok && b.Trusted() {
		d, ok = s.DeniedSigner(b.Key, b.Who)
	}
	if !ok {
		return ""
	}
	return d.Body.String()
}

// String says what is denied and why, fit for a terminal.
func (d Denial) String() string {
	text := fmt.Sprintf("%s %s is on the deny-list", d.Subject, artifact.Quote(d.Value))
	if d.Reason != "" {
		text += " (" + artifact.Quote(d.Reason) + ")"
	}
	return text
}
