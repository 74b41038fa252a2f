package manifest

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Attribute names what of a path's attributes differs.
type Attribute string

// The attributes that are compared.
const (
	Mode     Attribute = "mode"
	Owner    Attribute = "owner"
	Group    Attribute = "group"
	Links    Attribute = "links"
	Extended Attribute = "xattr"
)

// AttributeChange is one attribute of a path whose content may be what it was.
type AttributeChange struct {
	Path      string    `json:"path"`
	Attribute Attribute `json:"attribute"`
	// Name is that of an extended attribute.
	Name string `json:"name,omitempty"`
	// Old and New are a mode in octal, a number, or the digest of a
	// value; empty where there is none.
	Old  string        `json:"old"`
	New  string        `json:"new"`
	Want artifact.File `json:"-"`
	Got  artifact.File `json:"-"`
}

// CompareAttributes returns what differs in the attributes of paths that both
// manifests have and that are of the same kind, in the byte order of the
// paths. Attributes that one of them did not record are not compared. Both
// manifests must be sorted.
func CompareAttributes(baseline, now *Manifest) []AttributeChange {
	var out []AttributeChange
	want, got := baseline.Files, now.Files
	for len(want) > 0 && len(got) > 0 {
		switch order(want, got) {
		case -1:
			want = want[1:]
		case 1:
			got = got[1:]
		default:
			if want[0].Kind == got[0].Kind {
				out = append(out, attributesOf(&want[0], &got[0])...)
			}
			want, got = want[1:], got[1:]
		}
	}
	return out
}

func attributesOf(want, got *artifact.File) (out []AttributeChange) {
	differs := func(a Attribute, name, before, after string) {
		if before != after {
			out = append(out, AttributeChange{got.Path, a, name, before, after, *want, *got})
		}
	}
	// The mode of a link means nothing on Linux.
	if want.Mode != got.Mode && want.Mode != 0 && got.Mode != 0 && want.Kind != artifact.Symlink {
		differs(Mode, "", modeText(want.Mode), modeText(got.Mode))
	}
	a, b := want.Attributes, got.Attributes
	if a == nil || b == nil {
		return out
	}
	if a.UID != b.UID {
		differs(Owner, "", decimal(uint64(a.UID)), decimal(uint64(b.UID)))
	}
	if a.GID != b.GID {
		differs(Group, "", decimal(uint64(a.GID)), decimal(uint64(b.GID)))
	}
	if a.Links != b.Links && a.Links != 0 && b.Links != 0 {
		differs(Links, "", decimal(a.Links), decimal(b.Links))
	}
	if got.Kind == artifact.Regular && !got.Digest.IsZero() {
		extendedOf(a.Extended, b.Extended, differs)
	}
	return out
}

func extendedOf(want, got []artifact.Extended, differs func(a Attribute, name, before, after string)) {
	if slices.Equal(want, got) {
		return
	}
	before := map[string]string{}
	for _, e := range want {
		before[e.Name] = e.Value.String()
	}
	for _, e := range got {
		differs(Extended, e.Name, before[e.Name], e.Value.String())
		delete(before, e.Name)
	}
	for _, e := range want {
		if value, gone := before[e.Name]; gone {
			differs(Extended, e.Name, value, "")
		}
	}
}

// modeText is the mode with its octal permissions, which people compare.
func modeText(m fs.FileMode) string {
	special := uint32(0)
	for bit, value := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			special |= value
		}
	}
	return fmt.Sprintf("%04o", special|uint32(m.Perm()))
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
