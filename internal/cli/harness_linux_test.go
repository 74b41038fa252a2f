package cli_test

import (
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

// tmpfs DIR SIZE mounts a small file system, or sets $NO_TMPFS where that is
// not allowed.
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1])
	if err == unix.EPERM {
		ts.Setenv("NO_TMPFS", "1")
		return
	}
	ts.Check(err)
	ts.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}
