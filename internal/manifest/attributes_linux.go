package manifest

import (
	"io/fs"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// attributes returns what lstat tells beside kind, mode and times.
func attributes(info fs.FileInfo) *artifact.Attributes {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	a := &artifact.Attributes{UID: st.Uid, GID: st.Gid}
	if info.Mode().IsRegular() {
		a.Links = uint64(st.Nlink) //nolint:unconvert // narrower on some architectures
	}
	return a
}
