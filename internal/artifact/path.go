package artifact

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// ErrPath is what every refusal of [CheckPath] wraps.
var ErrPath = errors.New("not a path inside a model")

// CheckPath accepts the one spelling a path inside a model has: relative,
// slash-separated, valid UTF-8, without empty, "." or ".." elements, without
// NUL, byte for byte as the file system has it (no Unicode normalisation).
// Names from manifests, archives and signatures go through it before they
// meet a file system; everything else is refused, never repaired, because two
// readers repair differently (OMS 1.0 section 6.1).
func CheckPath(p string) error {
	switch {
	case p == "" || p == ".":
		return fmt.Errorf("path %q: empty: %w", p, ErrPath)
	case len(p) > 4096:
		return fmt.Errorf("path of %d bytes: too long: %w", len(p), ErrPath)
	case !utf8.ValidString(p):
		return fmt.Errorf("path %q: not UTF-8: %w", p, ErrPath)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("path %q: has a NUL: %w", p, ErrPath)
	case p[0] == '/':
		return fmt.Errorf("path %q: absolute: %w", p, ErrPath)
	case path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("path %q: not in its shortest form: %w", p, ErrPath)
	}
	return nil
}

// CheckID accepts an identifier that may become part of a file name, a log
// line or a label: 1 to 128 letters, digits, and "._-", starting with a letter
// or digit.
func CheckID(id string) error {
	if id == "" || len(id) > 128 {
		return fmt.Errorf("id %.140q: must have 1 to 128 characters", id)
	}
	for i, r := range id {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._-", r)) {
			return fmt.Errorf("id %.140q: has %q; only letters, digits and, after the first character, \"._-\" are allowed", id, r)
		}
	}
	return nil
}

// Quote returns s as it may be shown on a terminal: as it is when every
// character is printable, quoted in Go syntax otherwise. File names and log
// lines are written by attackers; control characters in them are not ours to
// pass on.
func Quote(s string) string {
	if !utf8.ValidString(s) {
		return fmt.Sprintf("%q", s)
	}
	for _, r := range s {
		if !printable(r) {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}
