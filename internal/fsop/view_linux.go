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
	err = onFD(f, func(fd int) (err error) {
		data, err = unix.Mmap(fd, off, int(length), unix.PROT_READ, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return false, nil // whoever reads it learns what is wrong
	}
	defer func() { _ = unix.Munmap(data) }()
	if pages, err := mincore(data); err != nil || !pages.All() {
		return false, nil
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
