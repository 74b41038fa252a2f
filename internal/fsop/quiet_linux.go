package fsop

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const openDirect = unix.O_DIRECT

// readUncached is one pread(2) whose pages leave the page cache again. The
// error wraps [errors.ErrUnsupported] where kernel or file system cannot.
func readUncached(f *os.File, p []byte, off int64) (n int, err error) {
	err = onFD(f, func(fd int) (err error) {
		n, err = unix.Preadv2(fd, [][]byte{p}, off, unix.RWF_DONTCACHE)
		return err
	})
	if notThere(err) {
		err = fmt.Errorf("%w (%w)", errors.ErrUnsupported, err)
	}
	return max(n, 0), err
}

// notThere reports whether kernel or file system do not have the kind of read
// that was asked for.
func notThere(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL)
}

// readDirect is one pread(2) on a file opened with O_DIRECT.
func readDirect(f *os.File, p []byte, off int64) (n int, err error) {
	err = onFD(f, func(fd int) (err error) {
		n, err = unix.Pread(fd, p, off)
		return err
	})
	if errors.Is(err, unix.EINVAL) { // not aligned as this device wants it
		err = fmt.Errorf("%w (%w)", errors.ErrUnsupported, err)
	}
	return max(n, 0), err
}

// Residency looks up which pages of the range are in the page cache. It reads
// none of them. For files that the user of this process neither owns nor may
// write, the kernel claims that all are. The offset is a multiple of the page
// size; the range may pass the end of the file.
func Residency(f *os.File, off, length int64) (Pages, error) {
	var pages Pages
	err := onFD(f, func(fd int) error {
		m, err := unix.Mmap(fd, off, int(length), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		pages, err = mincore(m)
		return errors.Join(err, unix.Munmap(m))
	})
	if err != nil {
		return nil, &os.PathError{Op: "mincore", Path: f.Name(), Err: err}
	}
	return pages, nil
}

// mincore looks up the pages of a mapping.
func mincore(m []byte) (Pages, error) {
	pages := make(Pages, (len(m)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, e := unix.Syscall(unix.SYS_MINCORE, address(m), uintptr(len(m)), uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
	if e != 0 {
		return nil, e
	}
	return pages, nil
}

// dropCache is a wish: the kernel may leave the pages where they are.
func dropCache(f *os.File, off, length int64) {
	_ = onFD(f, func(fd int) error { return unix.Fadvise(fd, off, length, unix.FADV_DONTNEED) })
}

// inMemory reports whether the file system of f has nothing but memory.
func inMemory(f *os.File) bool {
	var st unix.Statfs_t
	err := onFD(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	return err == nil && inMemoryOnly(int64(st.Type)) //nolint:unconvert // int32 on some platforms
}

func inMemoryOnly(magic int64) bool { return magic == unix.TMPFS_MAGIC || magic == unix.RAMFS_MAGIC }

// adviseRandom stops the kernel from reading ahead on this descriptor.
func adviseRandom(f *os.File) {
	_ = onFD(f, func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) })
}

// onFD calls do with the descriptor of f, which stays open meanwhile, until it
// is not interrupted.
func onFD(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := conn.Control(func(fd uintptr) {
		for {
			if err = do(int(fd)); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	return errors.Join(cerr, err)
}
