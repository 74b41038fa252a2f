package fsop

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// verity is struct fsverity_digest with room for the longest digest.
type verity struct {
	algorithm, size uint16
	digest          [64]byte
}

// MeasureVerity returns the fs-verity digest of f (SHA-256), which the kernel
// holds every read of the file to. It takes the same time whatever the size.
// The error wraps [errors.ErrUnsupported] when f has none, or one of another
// algorithm.
func MeasureVerity(f *os.File) ([]byte, error) {
	v := verity{size: 64}
	err := onFD(f, func(fd int) error {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_MEASURE_VERITY, uintptr(unsafe.Pointer(&v)))
		if e != 0 {
			return e
		}
		return nil
	})
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY):
		return nil, fmt.Errorf("fs-verity: %w (%w)", errors.ErrUnsupported, err)
	case err != nil:
		return nil, fmt.Errorf("fs-verity: %w", err)
	case v.algorithm != unix.FS_VERITY_HASH_ALG_SHA256 || v.size != 32:
		return nil, fmt.Errorf("fs-verity digest of algorithm %d: %w", v.algorithm, errors.ErrUnsupported)
	}
	return v.digest[:32], nil
}
