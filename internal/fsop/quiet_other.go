//go:build !linux

package fsop

import "os"

const openDirect = 0

func readUncached(_ *os.File, _ []byte, _ int64) (int, error) {
	return 0, unsupported("read past the page cache")
}

func readDirect(_ *os.File, _ []byte, _ int64) (int, error) { return 0, unsupported("direct read") }

// Residency is not available on this system.
func Residency(_ *os.File, _, _ int64) (Pages, error) { return nil, unsupported("residency") }

func dropCache(*os.File, int64, int64) {}

func inMemory(*os.File) bool { return false }

func adviseRandom(*os.File) {}

// Lease is not available on this system.
func Lease(*os.File) error { return unsupported("lease") }

// Leased is not available on this system.
func Leased(*os.File) bool { return false }

// Unlease is not available on this system.
func Unlease(*os.File) error { return unsupported("lease") }

// MeasureVerity is not available on this system.
func MeasureVerity(*os.File) ([]byte, error) { return nil, unsupported("fs-verity") }

func deviceNumbers(uint64) (major, minor uint32) { return 0, 0 }

// View maps nothing on this system.
func View(*os.File, int64, int64, func([]byte)) (bool, error) { return false, nil }
