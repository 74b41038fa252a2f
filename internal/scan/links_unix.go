//go:build unix

package scan

import (
	"io/fs"
	"syscall"
)

// links returns the number of hard links, or 0 where it is not known.
func links(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink) //nolint:unconvert // narrower on other systems
	}
	return 0
}
