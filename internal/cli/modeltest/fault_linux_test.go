//go:build linux

package modeltest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// blow is what goes wrong while a command runs, and when.
type blow struct {
	// How is "" for nothing; "fail" for system calls that fail from some
	// moment on; "crash" for a moment from which nothing more takes effect;
	// "kill" for SIGKILL to a process of its own.
	How string `json:"how,omitempty"`
	// At counts the looks at the clock and the points of the journal.
	At int `json:"at,omitempty"`
	// Class, Errno and Where say which calls fail, with what, on which files:
	// "files" is everything but the record, "record" is the database.
	Class string `json:"class,omitempty"`
	Errno string `json:"errno,omitempty"`
	Where string `json:"where,omitempty"`
}

func (b blow) String() string {
	switch b.How {
	case "":
		return ""
	case "fail":
		return fmt.Sprintf("  [from look %d on, %s of %s gives %s]", b.At, b.Class, b.Where, b.Errno)
	}
	return fmt.Sprintf("  [%s at look %d]", b.How, b.At)
}

// The values a blow can have.
var (
	classes = []string{"write", "sync", "rename", "create", "remove", "mode", "read"}
	errnos  = map[string]uint32{"ENOSPC": uint32(unix.ENOSPC), "EIO": uint32(unix.EIO), "EPERM": uint32(unix.EPERM)}
	places  = []string{"files", "record", "all"}
)

// calls are the system calls of each class that both amd64 and arm64 have;
// older forms are in olderCalls.
var calls = map[string][]uint32{
	"write":  {unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_PWRITEV, unix.SYS_WRITEV, unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_FALLOCATE},
	"sync":   {unix.SYS_FSYNC, unix.SYS_FDATASYNC},
	"rename": {unix.SYS_RENAMEAT2, unix.SYS_RENAMEAT, unix.SYS_LINKAT},
	"create": {unix.SYS_MKDIRAT, unix.SYS_SYMLINKAT},
	"remove": {unix.SYS_UNLINKAT, unix.SYS_FTRUNCATE},
	"mode":   {unix.SYS_FCHMOD, unix.SYS_FCHMODAT},
	"read":   {unix.SYS_READ, unix.SYS_PREAD64},
}

// byDescriptor are the classes whose first argument is an open file.
var byDescriptor = []string{"write", "sync", "read"}

// small is what the runtime itself reads and writes, to wake its threads. It
// would not survive an error.
const small = 16

// strike makes the blow take effect: for this thread, or for all threads of
// the process. It cannot be taken back: the thread has to end. dir is the
// state directory, whose database is the record.
func (b blow) strike(dir string, everyThread bool) error {
	list := []string{b.Class}
	errno := errnos[b.Errno]
	var record []int
	if b.How == "crash" {
		list, errno = []string{"write", "sync", "rename", "create", "remove", "mode"}, errnos["EIO"]
	} else if b.Where != "all" {
		record = descriptors(dir + "/weightwarden.db")
	}
	var program []unix.SockFilter
	for _, class := range list {
		for _, nr := range append(slices.Clone(calls[class]), olderCalls[class]...) {
			program = append(program, rule(nr, class, errno, b.Where, record)...)
		}
		if class == "create" {
			program = append(program, creatingOpen(errno)...)
		}
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: retAllow})
	return install(program, everyThread)
}

// What a filter answers, and where it finds the call: see seccomp(2).
const (
	retAllow   = 0x7fff0000
	retErrno   = 0x00050000
	offsetCall = 0
	setFilter  = 1
	syncAll    = 1
)

func argument(n uint32) uint32 { return 16 + 8*n }

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func jump(code uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | code | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)}
}

// rule makes the call nr fail where it concerns the files meant.
func rule(nr uint32, class string, errno uint32, where string, record []int) []unix.SockFilter {
	var body []unix.SockFilter
	if nr == unix.SYS_WRITE || nr == unix.SYS_READ {
		// Three instructions behind this one: next argument, compare, or leave.
		body = append(body, load(argument(2)), jump(unix.BPF_JGT, small, 1, 0), unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: retAllow})
	}
	if slices.Contains(byDescriptor, class) {
		body = append(body, load(argument(0)))
		for _, fd := range descriptors(testLog) {
			body = append(body, jump(unix.BPF_JEQ, uint32(fd), 0, 1), unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: retAllow})
		}
	}
	if where != "all" && where != "" && slices.Contains(byDescriptor, class) {
		for _, fd := range record {
			answer := uint32(retAllow)
			if where == "record" {
				answer = retErrno | errno
			}
			body = append(body, jump(unix.BPF_JEQ, uint32(fd), 0, 1), unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: answer})
		}
		if where == "record" {
			return guard(nr, append(body, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: retAllow}))
		}
	}
	return guard(nr, append(body, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: retErrno | errno}))
}

// guard lets the body decide about the call nr only.
func guard(nr uint32, body []unix.SockFilter) []unix.SockFilter {
	return append([]unix.SockFilter{load(offsetCall), jump(unix.BPF_JEQ, nr, 0, len(body))}, body...)
}

// creatingOpen makes an open fail that would make a file.
func creatingOpen(errno uint32) []unix.SockFilter {
	return guard(unix.SYS_OPENAT, []unix.SockFilter{
		load(argument(2)), jump(unix.BPF_JSET, unix.O_CREAT, 0, 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: retErrno | errno},
		{Code: unix.BPF_RET | unix.BPF_K, K: retAllow},
	})
}

func install(program []unix.SockFilter, everyThread bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	list := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	flags := uintptr(0)
	if everyThread {
		flags = syncAll
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, setFilter, flags, uintptr(unsafe.Pointer(&list)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return errno
	}
	return nil
}

// testLog is where the go command has a test write down which files it opens,
// on whatever thread it does.
const testLog = "/testlog.txt"

// descriptors returns those under which this process has a file open whose
// path contains the text.
func descriptors(text string) (found []int) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name()))
		n, bad := strconv.Atoi(fd.Name())
		if err == nil && bad == nil && strings.Contains(target, text) {
			found = append(found, n)
		}
	}
	return found
}
