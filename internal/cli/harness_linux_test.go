package cli_test

import (
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// plainly CODE COMMAND ARG... is exits without root's right to open whatever
// it likes, so that modes count.
func plainly(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: plainly CODE COMMAND [ARG...]")
	}
	done := make(chan error, 1)
	go func() {
		// What a thread may never regain, its children cannot have; the
		// thread ends with this goroutine, since it stays locked to it.
		runtime.LockOSThread()
		for _, right := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER} {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, right, 0, 0, 0) // fails for those who have no such right anyway
		}
		done <- ts.Exec(args[1], args[2:]...)
	}()
	if got := exitOf(ts, <-done); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d instead of %s", got, args[0])
	}
}

// fifo FILE makes a named pipe.
func fifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo FILE")
	}
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}

// mayMount reports whether tmpfs works here.
func mayMount() bool {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(dir) }()
	return unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k") == nil && unix.Unmount(dir, 0) == nil
}

// tmpfs DIR SIZE mounts a small file system; see the condition [mount].
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]))
	ts.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}
