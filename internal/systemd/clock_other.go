//go:build !linux

package systemd

func monotonic() uint64 { return 0 }
