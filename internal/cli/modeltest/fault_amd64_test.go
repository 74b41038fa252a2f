//go:build linux

package modeltest

import "golang.org/x/sys/unix"

// olderCalls are the forms without a directory, which only older machines have.
var olderCalls = map[string][]uint32{
	"rename": {unix.SYS_RENAME, unix.SYS_LINK},
	"create": {unix.SYS_MKDIR, unix.SYS_SYMLINK, unix.SYS_CREAT},
	"remove": {unix.SYS_UNLINK, unix.SYS_RMDIR, unix.SYS_TRUNCATE},
	"mode":   {unix.SYS_CHMOD},
}
