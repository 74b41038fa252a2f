package systemd

import "golang.org/x/sys/unix"

// monotonic returns the microseconds of CLOCK_MONOTONIC, as the manager
// compares them.
func monotonic() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return uint64(t.Nano() / 1000)
}
