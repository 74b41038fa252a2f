package fsop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// maxXattr bounds one extended attribute, and the list of their names.
const maxXattr = 64 << 10

// ReadAttributes reads the attributes of an open file. Extended attributes
// that cannot be read are an error beside what could be.
func ReadAttributes(f *os.File) (Attributes, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st); err != nil {
		return Attributes{}, &os.PathError{Op: "statx", Path: f.Name(), Err: err}
	}
	a := Attributes{
		ID: ID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino}, Mode: fs.FileMode(st.Mode & 0o777).String(),
		UID: st.Uid, GID: st.Gid, Links: uint64(st.Nlink), Size: int64(st.Size),
		Accessed: stamp(st.Atime), Modified: stamp(st.Mtime), Changed: stamp(st.Ctime),
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		a.Born = stamp(st.Btime)
	}
	var err error
	a.Extended, err = Extended(f)
	return a, err
}

func stamp(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// Extended reads the extended attributes of an open file by their names. One
// whose value cannot be read has none in the map and is in the error.
func Extended(f *os.File) (map[string][]byte, error) {
	size, err := unix.Flistxattr(int(f.Fd()), nil)
	if errors.Is(err, unix.ENOTSUP) || size == 0 && err == nil {
		return nil, nil //nolint:nilnil // a file without attributes
	}
	names := make([]byte, maxXattr)
	n := 0
	if err == nil {
		n, err = unix.Flistxattr(int(f.Fd()), names)
	}
	if err != nil {
		return nil, &os.PathError{Op: "listxattr", Path: f.Name(), Err: err}
	}
	return extendedValues(int(f.Fd()), names[:n], make([]byte, maxXattr), f.Name())
}

// extendedValues reads the values of the attributes that the system listed.
func extendedValues(fd int, names, value []byte, path string) (map[string][]byte, error) {
	out := map[string][]byte{}
	var failed error
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			failed = errors.Join(failed, &os.PathError{Op: "getxattr " + artifact.Quote(name), Path: path, Err: err})
			n = 0
		}
		out[artifact.Quote(name)] = bytes.Clone(value[:n])
	}
	return out, failed
}

// HashDirect returns the SHA-256 of the regular file path below root as it is
// on the disk, past the page cache (O_DIRECT). The error wraps
// [errors.ErrUnsupported] where the file system has no such thing.
func HashDirect(ctx context.Context, root *os.Root, path string) (artifact.Digest, int64, error) {
	plain, info, err := OpenRegular(root, path)
	if err != nil {
		return artifact.Digest{}, 0, err
	}
	defer plain.Close()
	f, err := OpenDirect(root, path, info)
	if err != nil {
		return artifact.Digest{}, 0, err
	}
	defer f.Close()
	buf, err := unix.Mmap(-1, 0, hashBuffer*4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // page-aligned
	if err != nil {
		return artifact.Digest{}, 0, os.NewSyscallError("mmap", err)
	}
	defer func() { _ = unix.Munmap(buf) }()
	return hashAligned(ctx, f, buf)
}

func hashAligned(ctx context.Context, f *os.File, buf []byte) (artifact.Digest, int64, error) {
	h := sha256.New()
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return artifact.Digest{}, size, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, unix.EINVAL) {
			err = errors.ErrUnsupported
		}
		if n%directAlign != 0 || errors.Is(err, io.EOF) {
			d, err := artifact.NewDigest(artifact.SHA256, h.Sum(nil)) // a short read is the end
			return d, size, err
		}
		if err != nil {
			return artifact.Digest{}, size, err
		}
	}
}
