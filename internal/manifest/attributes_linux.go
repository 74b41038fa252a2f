package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

const (
	// maxExtended is how many extended attributes of a file are kept apart;
	// the rest is kept under one digest.
	maxExtended = 32
	// maxValue is the longest list or value that Linux hands out
	// (XATTR_LIST_MAX, XATTR_SIZE_MAX).
	maxValue = 64 << 10
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

// extend adds the extended attributes of the open file f. A file system
// without them, or one that does not show them, has none.
func extend(file *artifact.File, f *os.File) {
	if file.Attributes == nil {
		return
	}
	fd := int(f.Fd())
	names := extendedNames(fd)
	if len(names) == 0 {
		return
	}
	buf := make([]byte, maxValue)
	rest := sha256.New()
	for i, name := range names {
		n, err := unix.Fgetxattr(fd, name, buf)
		if err != nil {
			n = 0 // gone since, or not for us: an empty value then
		}
		if i < maxExtended {
			file.Attributes.Extended = append(file.Attributes.Extended,
				artifact.Extended{Name: extendedName(name), Value: artifact.SHA256Of(buf[:n])})
			continue
		}
		rest.Write(binary.BigEndian.AppendUint32([]byte(name+"\x00"), uint32(n)))
		rest.Write(buf[:n])
	}
	if more := len(names) - maxExtended; more > 0 {
		// Behind every other name, and none a file system can have.
		file.Attributes.Extended = append(file.Attributes.Extended,
			artifact.Extended{Name: fmt.Sprintf("~ %d more", more), Value: sum(rest)})
	}
}

func extendedNames(fd int) []string {
	n, err := unix.Flistxattr(fd, nil)
	if err != nil || n <= 0 || n > maxValue {
		return nil
	}
	list := make([]byte, maxValue)
	if n, err = unix.Flistxattr(fd, list); err != nil {
		return nil
	}
	names := strings.FieldsFunc(string(list[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return names
}

func extendedName(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}
