package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openFlags keep a FIFO that takes a file's place from holding the open.
const openFlags = syscall.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW | syscall.O_CLOEXEC

// mounted reports whether p is on another device than the directory above it.
// A bind mount of the same file system does not show.
func mounted(p string) bool {
	here, err := os.Stat(p)
	if err != nil || !here.IsDir() {
		return false
	}
	above, err := os.Stat(filepath.Dir(p))
	if err != nil {
		return false
	}
	return p != "/" && device(here) != device(above)
}

func device(info fs.FileInfo) uint64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return uint64(st.Dev) //nolint:unconvert // narrower on some architectures
}
