// Package manifest says what a model consists of: it walks a tree inside an
// [os.Root], hashes every regular file with SHA-256 in one bounded pass, and
// compares two such observations. Nothing is left out because of its name, and
// what could not be observed is a [Problem], never an absence.
//
// It knows nothing of signatures, of who vouches for a manifest, or of what a
// change means. It cannot prove that a file was quiet while it was read: a
// writer that holds a shared mapping leaves size and times alone. Of directories
// that are not empty it keeps neither mode nor owner.
package manifest

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// ProblemKind says in which way a path could not be observed.
type ProblemKind string

// The kinds of problem.
const (
	// Unreadable is a regular file whose bytes could not be read.
	Unreadable ProblemKind = "unreadable"
	// Unstable is a file that changed every time it was read.
	Unstable ProblemKind = "unstable"
	// LinkEscapes is a symbolic link that leads to nothing inside the tree:
	// out of it, nowhere, or back to itself.
	LinkEscapes ProblemKind = "link_escapes"
	// Special is a FIFO, a socket, a device or something stranger.
	Special ProblemKind = "special"
	// Name is a name that [artifact.CheckPath] refuses, or a link target
	// that is not UTF-8. It cannot stand in a manifest as it is.
	Name ProblemKind = "name"
	// Walk is a directory that could not be listed, or a path about which
	// nothing could be learned.
	Walk ProblemKind = "walk"
	// Writer is a regular file that somebody had open for writing, or mapped
	// from such an opening, while it was read. It has a digest, and the bytes
	// may be others already, with the same size and times.
	Writer ProblemKind = "writer"
)

// Problem is something that keeps a manifest from being the whole truth.
type Problem struct {
	// Path is as the file system has it, except in a [Name] problem, where it
	// is quoted in Go syntax, always.
	Path   string      `json:"path"`
	Kind   ProblemKind `json:"kind"`
	Reason string      `json:"reason"`
}

// Manifest is one observation of a model tree.
type Manifest struct {
	// Files holds every path but the directories that are not empty, in the
	// byte order of the paths. A regular file without a digest has a problem.
	Files []artifact.File `json:"files"`
	// Problems is in the byte order of the paths, then of the kinds. A path
	// may have several.
	Problems []Problem `json:"problems"`
}

// Root returns the root digest of m, see [RootDigest].
func (m *Manifest) Root() artifact.Digest { return RootDigest(m.Files) }

// Regular returns the number of regular files, hashed or not.
func (m *Manifest) Regular() int {
	n := 0
	for i := range m.Files {
		if m.Files[i].Kind == artifact.Regular {
			n++
		}
	}
	return n
}

// Bytes returns the sum of the sizes of the regular files.
func (m *Manifest) Bytes() int64 {
	var n int64
	for i := range m.Files {
		n += m.Files[i].Size
	}
	return n
}

// RootDigest returns the SHA-256 over the raw digests of the regular files, in
// the byte order of their paths (OMS 1.0, root digest). Names are not part of
// it. It is the zero Digest when there is no regular file, which OMS 1.0
// refuses to sign, or when one of them has no digest: a digest over the rest
// would be that of another model.
func RootDigest(files []artifact.File) artifact.Digest {
	if !slices.IsSortedFunc(files, byPath) {
		files = slices.SortedFunc(slices.Values(files), byPath)
	}
	h, n := sha256.New(), 0
	for i := range files {
		if files[i].Kind != artifact.Regular {
			continue
		}
		if files[i].Digest.IsZero() {
			return artifact.Digest{}
		}
		h.Write(files[i].Digest.Bytes())
		n++
	}
	if n == 0 {
		return artifact.Digest{}
	}
	return sum(h)
}

func byPath(a, b artifact.File) int { return cmp.Compare(a.Path, b.Path) }

func byPathAndKind(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
}
