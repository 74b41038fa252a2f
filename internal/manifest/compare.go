package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// ChangeKind says how a path differs from its baseline.
type ChangeKind string

// The kinds of change.
const (
	Modified   ChangeKind = "modified"
	Missing    ChangeKind = "missing"
	Unexpected ChangeKind = "unexpected"
)

// Change is one path that differs. Want is the zero File for an unexpected
// path, Got for a missing one.
type Change struct {
	Path string        `json:"path"`
	Kind ChangeKind    `json:"kind"`
	Want artifact.File `json:"want,omitzero"`
	Got  artifact.File `json:"got,omitzero"`
}

// Compare returns what differs between two manifests, in the byte order of the
// paths. It looks at kind, digest, size and link target; mode and modification
// time are recorded but not compared. Both manifests must be sorted, as those
// of [Take] and [Decode] are.
//
// What now could not observe is not a change: a path that has a problem and
// therefore no digest is modified only when its kind or size differs, and a
// path below a directory that could not be listed is not missing. The problems
// of now say so themselves, and a caller must read them too. An empty
// directory that filled, or one that emptied, shows in the files in it.
func Compare(baseline, now *Manifest) []Change {
	troubled, unlisted := map[string]bool{}, map[string]bool{}
	for _, p := range now.Problems {
		troubled[p.Path] = troubled[p.Path] || p.Kind != Name
		unlisted[p.Path] = unlisted[p.Path] || p.Kind == Walk
	}
	var changes []Change
	want, got := baseline.Files, now.Files
	for len(want) > 0 || len(got) > 0 {
		switch order(want, got) {
		case -1:
			if !unseen(unlisted, want[0].Path) && !implied(want[0], now.Files) {
				changes = append(changes, Change{Path: want[0].Path, Kind: Missing, Want: want[0]})
			}
			want = want[1:]
		case 1:
			if !implied(got[0], baseline.Files) {
				changes = append(changes, Change{Path: got[0].Path, Kind: Unexpected, Got: got[0]})
			}
			got = got[1:]
		default:
			if differ(want[0], got[0], troubled[got[0].Path]) {
				changes = append(changes, Change{want[0].Path, Modified, want[0], got[0]})
			}
			want, got = want[1:], got[1:]
		}
	}
	return changes
}

// order compares the first entries; a list that is used up comes last.
func order(a, b []artifact.File) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return cmp.Compare(a[0].Path, b[0].Path)
}

func differ(want, got artifact.File, troubled bool) bool {
	if want.Kind != got.Kind || want.Size != got.Size || want.Target != got.Target {
		return true
	}
	if got.Digest.IsZero() && troubled {
		return false
	}
	return want.Digest != got.Digest
}

// unseen reports whether nothing could be learned of the path, or a directory
// above it could not be listed.
func unseen(unlisted map[string]bool, path string) bool {
	for path != "" {
		if unlisted[path] {
			return true
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	return false
}

// implied reports whether f is a directory that the others have with something
// in it, which is why they have no entry for it.
func implied(f artifact.File, others []artifact.File) bool {
	if f.Kind != artifact.Directory {
		return false
	}
	below := f.Path + "/"
	i, _ := slices.BinarySearchFunc(others, below, func(o artifact.File, p string) int { return cmp.Compare(o.Path, p) })
	return i < len(others) && strings.HasPrefix(others[i].Path, below)
}
