package fsop

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

const (
	openNoFollow = unix.O_NOFOLLOW
	openNonblock = unix.O_NONBLOCK
)

// Exchange swaps what the names a and b stand for, atomically. The error
// wraps [errors.ErrUnsupported] where kernel or file system cannot.
func Exchange(a, b string) error { return renameat2("exchange", a, b, unix.RENAME_EXCHANGE) }

func renameNoReplace(from, to string) error {
	return renameat2("rename", from, to, unix.RENAME_NOREPLACE)
}

func renameat2(op, from, to string, flags uint) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
	if err == nil {
		return nil
	}
	if err == unix.EINVAL { //nolint:errorlint // a bare errno; rename(2): the file system does not know the flag
		err = fmt.Errorf("%w (%w)", errors.ErrUnsupported, err)
	}
	return &os.LinkError{Op: op, Old: from, New: to, Err: err}
}

// Clone makes the empty file dst share the blocks of src until one of both is
// written (FICLONE). The error wraps [errors.ErrUnsupported] where the file
// system cannot, or where both are not on the same one.
func Clone(dst, src *os.File) error {
	err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
		err = fmt.Errorf("%w (%w)", errors.ErrUnsupported, err)
	}
	return &os.LinkError{Op: "clone", Old: src.Name(), New: dst.Name(), Err: err}
}

// IdentityOf returns the identity of what info describes.
func IdentityOf(info fs.FileInfo) (ID, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ID{}, fmt.Errorf("identity of %s: %w", artifact.Quote(info.Name()), errors.ErrUnsupported)
	}
	return ID{Dev: uint64(st.Dev), Ino: st.Ino}, nil //nolint:unconvert // int64 on some platforms
}

func changeTime(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ctim.Nano()
}

func ownedByUs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(st.Uid) == int64(os.Geteuid())
}

// FreeSpace returns how many bytes the user of this process can still write
// to the file system that holds path.
func FreeSpace(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	blocks, size := int64(st.Bavail), st.Bsize
	if blocks > (1<<63-1)/max(size, 1) {
		return 1<<63 - 1, nil
	}
	return blocks * size, nil
}

// IsMountPoint reports whether a file system is mounted at path, bind mounts
// included where the kernel tells (5.8 and later). Symbolic links are not
// followed.
func IsMountPoint(path string) (bool, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st)
	if err == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	same, err := SameFileSystem(path, filepath.Dir(path))
	return !same, err
}

// LockFile takes the lock on an open file without waiting. The error is a
// [fault.Conflict] when somebody else holds it. Closing f ends the lock.
func LockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fault.New(fault.Conflict, "already locked: %w", err)
	}
	return err
}

// unlockFile ends the lock at once. Closing alone would not, while a process
// that is being started still has a copy of the descriptor.
func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

func deviceNumbers(dev uint64) (major, minor uint32) { return unix.Major(dev), unix.Minor(dev) }

// OpenFiles is how many files this process may have open.
func OpenFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 256
	}
	return int(min(limit.Cur, 1<<20))
}

// Duplicate returns another descriptor of the open file f.
func Duplicate(f *os.File) (*os.File, error) {
	fd := -1
	err := onFD(f, func(old int) (err error) {
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// nextData returns where the file has data next, from off on; [io.EOF] is
// nowhere.
func nextData(f *os.File, off int64) (next int64, err error) {
	err = onFD(f, func(fd int) (err error) {
		next, err = unix.Seek(fd, off, unix.SEEK_DATA)
		return err
	})
	if errors.Is(err, unix.ENXIO) {
		err = io.EOF
	}
	return next, err
}

// StartWriting is a wish: what was written to the range goes to the disk from
// now on, so that a later sync has less to wait for.
func StartWriting(f *os.File, off, length int64) {
	_ = onFD(f, func(fd int) error { return unix.SyncFileRange(fd, off, length, unix.SYNC_FILE_RANGE_WRITE) })
}

// Allocated returns how many bytes of the file are on the disk: for one with
// holes less than its size.
func Allocated(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	return min(info.Size(), st.Blocks*512)
}
