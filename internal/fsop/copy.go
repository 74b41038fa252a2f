package fsop

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// OpenDirect opens the regular file path below root once more, to be read past
// the page cache. It must still be the file that info describes. The error
// wraps [errors.ErrUnsupported] where the file system has no direct reads, or no
// disk.
func OpenDirect(root *os.Root, path string, info fs.FileInfo) (*os.File, error) {
	f, err := root.OpenFile(path, os.O_RDONLY|openNoFollow|openNonblock|openDirect, 0)
	if errors.Is(err, syscall.EINVAL) {
		err = fmt.Errorf("direct read: %w", errors.ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = notRegular(path, now)
	}
	if err == nil && inMemory(f) {
		err = fmt.Errorf("the file system has nothing but memory: %w", errors.ErrUnsupported)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadDirectAt reads as [io.ReaderAt] says from a file of [OpenDirect]: into a
// buffer of [AlignedBuffer], whose length is a multiple of 4096 even at the end
// of the file. The error wraps [errors.ErrUnsupported] where the device wants
// it otherwise.
func ReadDirectAt(f *os.File, p []byte, off int64) (n int, err error) {
	for n < len(p) {
		k, err := readDirect(f, p[n:], off+int64(n))
		n += k
		switch {
		case err != nil:
			return n, err
		case n == len(p):
			return n, nil
		case k%directAlign != 0, k == 0: // what is left is less than a sector: the end
			return n, io.EOF
		}
	}
	return n, nil
}

// QuietBelow returns a reader of f, which was opened at path below root.
func QuietBelow(root *os.Root, path string, f *os.File) *Quiet {
	return NewQuiet(f, func(int) (*os.File, error) {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return OpenDirect(root, path, info)
	})
}

// IsHole reports whether the file system keeps nothing for the range, so that
// it reads as zeros. No is no proof of the contrary.
func IsHole(f *os.File, off, length int64) bool {
	next, err := nextData(f, off)
	return errors.Is(err, io.EOF) || err == nil && next >= off+length
}
