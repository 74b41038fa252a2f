package fsop

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Clock asks the kernel how right the clock is (adjtimex(2), reading only).
func Clock() (ClockState, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return ClockState{}, os.NewSyscallError("adjtimex", err)
	}
	unit := time.Microsecond
	if t.Status&unix.STA_NANO != 0 {
		unit = time.Nanosecond
	}
	return ClockState{
		Synchronised: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		Offset:       time.Duration(t.Offset) * unit,
		MaxError:     time.Duration(t.Maxerror) * time.Microsecond,
	}, nil
}
