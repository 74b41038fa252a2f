package fsop

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// Lease takes a read lease on f, which was opened for reading only. It fails
// with a [fault.Conflict] when anybody has the file open for writing, or has
// it mapped from such an opening. The error wraps [errors.ErrUnsupported]
// where leases prove nothing: the file is another user's and this process has
// no CAP_LEASE, or the file system is not one of those listed below.
//
// From then on whoever opens the file for writing or truncates it breaks the
// lease, and waits until it is given back or the kernel has lost patience
// (/proc/sys/fs/lease-break-time). So look with [Leased], and [Unlease] soon.
func Lease(f *os.File) error {
	var st unix.Statfs_t
	err := onFD(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	if err != nil {
		return err
	}
	if !leasesProve(int64(st.Type)) { //nolint:unconvert // int32 on some platforms
		return fmt.Errorf("lease on a file system of type %#x: %w", st.Type, errors.ErrUnsupported)
	}
	err = setLease(f, unix.F_RDLCK)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return fault.New(fault.Conflict, "somebody has it open for writing")
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOLCK):
		return fmt.Errorf("%w (%w)", errors.ErrUnsupported, err)
	}
	return err
}

// leasesProve reports whether all ways to a file's bytes pass its inode on
// this host. They do not on network and FUSE file systems (other hosts, the
// server), nor on overlayfs (the upper directory); on tmpfs pages can be
// pinned by a mapping that is gone, and written later.
func leasesProve(magic int64) bool {
	switch magic {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
		return true
	}
	return false
}

// Leased reports whether the lease on f still stands and nobody waits for its
// end.
func Leased(f *os.File) bool {
	kind := unix.F_UNLCK
	err := onFD(f, func(fd int) (err error) {
		kind, err = unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
		return err
	})
	return err == nil && kind == unix.F_RDLCK
}

// Unlease gives the lease on f back.
func Unlease(f *os.File) error { return setLease(f, unix.F_UNLCK) }

func setLease(f *os.File, kind int) error {
	return onFD(f, func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, kind)
		return err
	})
}
