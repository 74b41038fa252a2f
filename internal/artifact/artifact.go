// Package artifact names the things under protection: a model, its files,
// their digests, formats and paths. It does no I/O.
package artifact

import (
	"io/fs"
	"time"
	"unicode"
)

// Model is one deployed model: a directory, or a single file.
type Model struct {
	ID   string `json:"id"`
	Path string `json:"path"`
	// Critical makes the model's incidents critical.
	Critical bool `json:"critical"`
	// Archive is the directory of versions to roll back to. May be empty.
	Archive string `json:"archive,omitempty"`
}

// Kind is what a path in a model tree is.
type Kind string

// The kinds of path.
const (
	Regular   Kind = "file"
	Symlink   Kind = "symlink"
	Directory Kind = "directory"
	FIFO      Kind = "fifo"
	Socket    Kind = "socket"
	Device    Kind = "device"
	Irregular Kind = "irregular"
)

// KindOf returns the kind that mode describes.
func KindOf(mode fs.FileMode) Kind {
	switch {
	case mode.IsRegular():
		return Regular
	case mode&fs.ModeSymlink != 0:
		return Symlink
	case mode.IsDir():
		return Directory
	case mode&fs.ModeNamedPipe != 0:
		return FIFO
	case mode&fs.ModeSocket != 0:
		return Socket
	case mode&fs.ModeDevice != 0:
		return Device
	default:
		return Irregular
	}
}

// File is one path of a model tree, as it was observed. Only a regular file
// has a digest.
type File struct {
	Path    string      `json:"path"`
	Kind    Kind        `json:"kind"`
	Size    int64       `json:"size,omitempty"`
	Mode    fs.FileMode `json:"mode,omitempty"`
	ModTime time.Time   `json:"mtime,omitzero"`
	Digest  Digest      `json:"sha256,omitzero"`
	// Target is where a symbolic link points, as written in the link.
	Target string `json:"target,omitempty"`
	// Attributes is nil where the system has none or they were not looked at.
	Attributes *Attributes `json:"attributes,omitempty"`
}

// Attributes are what a file system keeps of a path beside its content. The
// inode number is not among them: a restored file has another.
type Attributes struct {
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
	// Links is the number of names a regular file has. Whoever holds one of
	// them outside the model can write through it.
	Links uint64 `json:"links,omitempty"`
	// Extended are the extended attributes of a regular file that could be
	// read, sorted by name.
	Extended []Extended `json:"xattrs,omitempty"`
}

// Extended is an extended attribute. Name is quoted in Go syntax where it is
// not UTF-8.
type Extended struct {
	Name  string `json:"name"`
	Value Digest `json:"sha256"`
}

// printable reports whether r may reach a terminal as it is. Beyond control
// characters this keeps back format characters, which reorder or hide text
// (U+202E and its kin).
func printable(r rune) bool {
	return r == ' ' || unicode.IsPrint(r)
}
