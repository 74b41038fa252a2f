// Package fsop holds the file operations that the standard library lacks:
// atomic exchange of two names, reflink copies, syncing of directories,
// identities of files, locks between processes, and opening a file below an
// [os.Root] that must be a regular one. It knows no model, no evidence and no
// plan; what a file is for is its callers' business.
//
// Linux is what it is made for. Elsewhere an operation without an equivalent
// fails with an error that wraps [errors.ErrUnsupported].
package fsop

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// copyChunk is how many bytes are moved between two looks at the context.
const copyChunk = 16 << 20

// hashBuffer is the read size of [HashFile]; larger ones are no faster.
const hashBuffer = 256 << 10

// RenameNoReplace gives the file from the name to, and fails with an error
// that wraps [fs.ErrExist] when something has that name. Where kernel or file system
// cannot do both at once, it looks first and renames then.
func RenameNoReplace(from, to string) error {
	err := renameNoReplace(from, to)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	_, err = os.Lstat(to)
	if err == nil {
		err = fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return os.Rename(from, to)
}

// SyncDir makes renames and creations in a directory durable. File systems
// that cannot sync a directory are taken at their word.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return syncAndClose(d)
}

func syncAndClose(f *os.File) error { return errors.Join(Sync(f), f.Close()) }

// Sync makes an open file or directory durable. What cannot be synced by its
// nature is no error.
func Sync(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// Copy copies src to dst until its end or until ctx is done and returns the
// number of bytes. Between two files the kernel does the copying.
func Copy(ctx context.Context, dst io.Writer, src io.Reader) (int64, error) {
	var total int64
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, err := io.CopyN(dst, src, copyChunk)
		total += n
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// CloneOrCopy makes the empty file dst hold what src holds: sharing blocks
// until one of both is written where the file system can, copying otherwise.
// It is never a hard link, which would change with its original.
func CloneOrCopy(ctx context.Context, dst, src *os.File) (int64, error) {
	if Clone(dst, src) == nil {
		info, err := dst.Stat()
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	return Copy(ctx, dst, src) // the reason does not matter: copying says what is wrong
}

// WriteFileAtomic makes path hold data: whoever looks, even after a crash,
// sees what was there before or all of data. A crash can leave a file
// ".<name>.tmp-*" beside it.
func WriteFileAtomic(path string, data []byte, mode fs.FileMode) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+name+".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(dir)
}

// ID tells a file or directory apart from every other one that exists at the
// same time on this host. A number can be given out again after a removal.
type ID struct {
	Dev, Ino uint64
}

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Stamp is what a system keeps of an inode that changes when its bytes are
// written by the usual means. It is no proof that they were not.
type Stamp struct {
	ID                      ID
	Size, Modified, Changed int64
}

// StampOf returns the stamp of what info describes.
func StampOf(info fs.FileInfo) (Stamp, error) {
	id, err := IdentityOf(info)
	return Stamp{id, info.Size(), info.ModTime().UnixNano(), changeTime(info)}, err
}

// String returns "dev:ino" in decimal, or "" for the zero value.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return strconv.FormatUint(id.Dev, 10) + ":" + strconv.FormatUint(id.Ino, 10)
}

// ParseID reads what [ID.String] writes, and nothing else.
func ParseID(s string) (ID, error) {
	if s == "" {
		return ID{}, nil
	}
	dev, ino, _ := strings.Cut(s, ":")
	d, err1 := strconv.ParseUint(dev, 10, 64)
	i, err2 := strconv.ParseUint(ino, 10, 64)
	id := ID{d, i}
	if err1 != nil || err2 != nil || id.String() != s {
		return ID{}, fmt.Errorf("file identity %.60q: not of the form dev:ino", s)
	}
	return id, nil
}

// MarshalText writes what String returns.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// Identity returns the identity of what path names; a symbolic link is not
// followed.
func Identity(path string) (ID, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return ID{}, err
	}
	return IdentityOf(info)
}

// SameFileSystem reports whether a rename from a to b can be atomic, as far
// as device numbers tell. Symbolic links are not followed.
func SameFileSystem(a, b string) (bool, error) {
	ia, err := Identity(a)
	if err != nil {
		return false, err
	}
	ib, err := Identity(b)
	return err == nil && ia.Dev == ib.Dev, err
}

// IsFull reports whether err says that a disk or a quota is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Lock takes the lock named by the file path, which is made when missing and
// stays. When another process holds the lock the error is a [fault.Conflict]
// that says so. The lock ends with unlock or with the process.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openNoFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := LockFile(f); err != nil {
		return nil, errors.Join(lockError(f, err), f.Close())
	}
	// Who holds the lock is for people to read; the lock does not depend on it.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return func() error { return errors.Join(unlockFile(f), f.Close()) }, nil
}

func lockError(f *os.File, err error) error {
	if fault.KindOf(err) != fault.Conflict {
		return fmt.Errorf("lock %s: %w", artifact.Quote(f.Name()), err)
	}
	var pid [20]byte
	n, _ := f.ReadAt(pid[:], 0)
	holder := "another process"
	if _, err := strconv.ParseUint(string(pid[:n]), 10, 32); err == nil {
		holder = "process " + string(pid[:n])
	}
	return fault.New(fault.Conflict, "%s holds the lock %s: %w", holder, artifact.Quote(f.Name()), err).
		WithHint("wait until it has finished, then try again")
}

// PrivateDir makes the directory path with mode 0700, or checks that it is
// one that nobody else can change: a directory, no symbolic link, owned by
// the user of this process. Wider modes are narrowed.
func PrivateDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		return SyncDir(filepath.Dir(path))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fault.New(fault.Conflict, "%s is a %s, not a directory", artifact.Quote(path), artifact.KindOf(info.Mode())).
			WithHint("find out who made it, move it away, then try again")
	case !ownedByUs(info):
		return fault.New(fault.Conflict, "directory %s belongs to another user", artifact.Quote(path)).
			WithHint("find out who made it, move it away, then try again")
	case info.Mode().Perm()&0o077 != 0:
		return os.Chmod(path, 0o700) //nolint:gosec // a directory needs the x bit
	}
	return nil
}

// OpenRegular opens the regular file path below root for reading. It does not
// wait for a FIFO, opens no device and follows no symbolic link in the last
// element; everything but a regular file is a [fault.Incomplete].
func OpenRegular(root *os.Root, path string) (*os.File, fs.FileInfo, error) {
	before, err := root.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, notRegular(path, before)
	}
	f, err := root.OpenFile(path, os.O_RDONLY|openNoFollow|openNonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || !os.SameFile(before, info)) {
		err = notRegular(path, info)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func notRegular(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return fault.New(fault.Incomplete, "%s was replaced while it was opened", artifact.Quote(path))
	}
	return fault.New(fault.Incomplete, "%s is a %s, not a regular file", artifact.Quote(path), artifact.KindOf(info.Mode()))
}

// Unchanged reports whether two looks at one file saw the same: identity,
// size, modification time and, where there is one, the change time, which
// only the kernel sets.
func Unchanged(before, after fs.FileInfo) bool {
	return os.SameFile(before, after) && before.Size() == after.Size() &&
		before.ModTime().Equal(after.ModTime()) && changeTime(before) == changeTime(after)
}

// HashFile returns the SHA-256 digest and the size of the regular file path
// below root. A file that changes while it is read is a [fault.Incomplete].
func HashFile(ctx context.Context, root *os.Root, path string) (artifact.Digest, int64, error) {
	f, before, err := OpenRegular(root, path)
	if err != nil {
		return artifact.Digest{}, 0, err
	}
	defer f.Close()
	d, size, err := Hash(ctx, f)
	if err != nil {
		return artifact.Digest{}, 0, fmt.Errorf("read %s: %w", artifact.Quote(path), err)
	}
	after, err := f.Stat()
	if err != nil {
		return artifact.Digest{}, 0, err
	}
	if !Unchanged(before, after) || size != after.Size() {
		return artifact.Digest{}, 0, fault.New(fault.Incomplete, "%s changed while it was read", artifact.Quote(path))
	}
	return d, size, nil
}

// hashBuffers are used again: a tree of small files would spend its time on
// clearing new ones.
var hashBuffers = sync.Pool{New: func() any { b := make([]byte, hashBuffer); return &b }}

// Hash returns the SHA-256 digest and the number of bytes of r.
func Hash(ctx context.Context, r io.Reader) (artifact.Digest, int64, error) {
	h := sha256.New()
	kept := hashBuffers.Get().(*[]byte)
	defer hashBuffers.Put(kept)
	buf := *kept
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return artifact.Digest{}, size, err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			d, err := artifact.NewDigest(artifact.SHA256, h.Sum(nil))
			return d, size, err
		}
		if err != nil {
			return artifact.Digest{}, size, err
		}
	}
}
