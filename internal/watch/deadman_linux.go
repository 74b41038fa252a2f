package watch

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deadman is a timer of the kernel that kills this process unless it is put
// off again and again: a process that is stopped as a whole (SIGSTOP, a
// debugger, a frozen control group) cannot let go of what others wait for, and
// nothing else in it could notice.
type deadman struct{ id int32 }

// sigevent is the kernel's struct sigevent (include/uapi/asm-generic/siginfo.h):
// 64 bytes, of which a signal needs these.
type sigevent struct {
	value  uint64
	signo  int32
	notify int32 // 0 is SIGEV_SIGNAL
	_      [48]byte
}

func newDeadman() (deadman, error) {
	var d deadman
	ev := sigevent{signo: int32(unix.SIGKILL)}
	_, _, errno := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&ev)), uintptr(unsafe.Pointer(&d.id)))
	if errno != 0 {
		return d, fmt.Errorf("make a timer: %w", errno)
	}
	return d, nil
}

// putOff lets the process live for so long from now on.
func (d deadman) putOff(long time.Duration) error {
	value := unix.ItimerSpec{Value: unix.NsecToTimespec(long.Nanoseconds())}
	_, _, errno := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(d.id), 0, uintptr(unsafe.Pointer(&value)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set a timer: %w", errno)
	}
	return nil
}

// end lets the process live.
func (d deadman) end() {
	_, _, _ = unix.Syscall(unix.SYS_TIMER_DELETE, uintptr(d.id), 0, 0)
}
