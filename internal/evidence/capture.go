package evidence

import (
	"io/fs"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// CaptureOptions say how a file is captured. The zero value keeps it and does
// not read past the page cache.
type CaptureOptions struct {
	// Wanted, when not nil, is asked with the digest, behind the reading,
	// whether the file shall be kept.
	Wanted func(artifact.Digest) bool
	// Direct is how many bytes at most are read once more past the page cache.
	Direct int64
}

// Captured is what was found out about a file while it was captured.
type Captured struct {
	SHA256 artifact.Digest
	Size   int64
	// Kept says that there is a copy now.
	Kept bool
	// Info describes the file, which was the same before and after.
	Info fs.FileInfo
	// Direct is the digest past the page cache: SHA256 when every byte was
	// compared, or came from the disk because memory had none; zero when that
	// could not be done. NotDirect says why, then.
	Direct    artifact.Digest
	NotDirect string
	// Differed says that the bytes in memory and those on the disk were not the
	// same when they were compared. Direct is from another reading, thereafter.
	Differed bool
	// Compared is how many bytes were read past the page cache.
	Compared int64
}
