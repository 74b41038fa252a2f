package manifest

import (
	"io/fs"
	"syscall"
	"time"
)

// A FIFO that takes a file's place must not hold the open, and the descriptor
// must not reach a child. os.Root looks at final links itself whatever
// O_NOFOLLOW says: the comparison with lstat after reading is what keeps a
// link's target from passing for the file.
const (
	fileFlags = syscall.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	dirFlags  = fileFlags | syscall.O_DIRECTORY
)

// changeTime returns the time of the inode's last change, which no caller can
// set, unlike the modification time.
func changeTime(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}
	}
	return time.Unix(st.Ctim.Unix())
}
