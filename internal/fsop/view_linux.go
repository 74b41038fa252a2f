package fsop

import (
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// View calls do with length bytes of f from off on, mapped instead of copied,
// and reports whether it did. It does so only when all of them are in the page
// cache, since a mapping would bring them there. The offset is a multiple of
// the page size. The bytes are good until do returns, and do must not pass them
// to another goroutine.
//
// What is mapped can be cut off. That is an error and not a crash; still, use
// it on files under a [Lease], where whoever would do so has to wait.
func View(f *os.File, off, length int64, do func(data []byte)) (done bool, err error) {
	var data []byte
	all := false
	err = onFD(f, func(fd int) (err error) {
		if all, err = cached(fd, off, length); err == nil && !all {
			return unix.EAGAIN
		}
		data, err = unix.Mmap(fd, off, int(length), unix.PROT_READ, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return false, nil // whoever reads it learns what is wrong
	}
	defer func() { _ = unix.Munmap(data) }()
	if !all { // the kernel has only the slower way to say it
		if pages, err := mincore(data); err != nil || !pages.All() {
			return false, nil
		}
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			if at, ok := e.(interface{ Addr() uintptr }); !ok || at.Addr()-address(data) >= uintptr(len(data)) {
				panic(e)
			}
			done, err = false, fmt.Errorf("view: the bytes at %d are gone", off)
		}
	}()
	do(data)
	return true, nil
}

// cached reports whether the whole range is in the page cache (cachestat(2),
// Linux 6.5).
func cached(fd int, off, length int64) (bool, error) {
	var stat unix.Cachestat_t
	err := unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(length)}, &stat, 0)
	if err != nil {
		return false, err
	}
	page := int64(os.Getpagesize())
	return stat.Cache >= uint64((length+page-1)/page), nil
}
