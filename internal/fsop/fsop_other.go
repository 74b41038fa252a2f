//go:build !linux

package fsop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

const (
	openNoFollow = 0
	openNonblock = 0
)

func unsupported(op string) error { return fmt.Errorf("%s: %w", op, errors.ErrUnsupported) }

// Exchange is not available on this system.
func Exchange(_, _ string) error { return unsupported("exchange") }

func renameNoReplace(_, _ string) error { return unsupported("rename") }

// Clone is not available on this system.
func Clone(_, _ *os.File) error { return unsupported("clone") }

// IdentityOf is not available on this system.
func IdentityOf(_ fs.FileInfo) (ID, error) { return ID{}, unsupported("identity") }

func changeTime(fs.FileInfo) int64 { return 0 }

func ownedByUs(fs.FileInfo) bool { return true }

// Clock is not available on this system.
func Clock() (ClockState, error) { return ClockState{}, unsupported("clock") }

// ReadAttributes is not available on this system.
func ReadAttributes(*os.File) (Attributes, error) { return Attributes{}, unsupported("attributes") }

// Extended is not available on this system.
func Extended(*os.File) (map[string][]byte, error) { return nil, unsupported("extended attributes") }

// HashDirect is not available on this system.
func HashDirect(context.Context, *os.Root, string) (artifact.Digest, int64, error) {
	return artifact.Digest{}, 0, unsupported("direct read")
}

// FreeSpace is not available on this system.
func FreeSpace(string) (int64, error) { return 0, unsupported("free space") }

// IsMountPoint is not available on this system.
func IsMountPoint(string) (bool, error) { return false, unsupported("mount point") }

// LockFile is not available on this system.
func LockFile(*os.File) error { return unsupported("lock") }

func unlockFile(*os.File) error { return unsupported("unlock") }

// OpenFiles is how many files this process may have open, at the least.
func OpenFiles() int { return 256 }

// Duplicate is not available on this system.
func Duplicate(*os.File) (*os.File, error) { return nil, unsupported("duplicate") }

func nextData(*os.File, int64) (int64, error) { return 0, unsupported("look for holes") }

// StartWriting does nothing on this system.
func StartWriting(*os.File, int64, int64) {}

// Allocated returns the size: this system does not tell.
func Allocated(info fs.FileInfo) int64 { return info.Size() }

// Folder is not available on this system.
type Folder struct{}

// BriefMost is the size of the largest file that [Folder.Read] reads.
const BriefMost = 0

// Brief is a small file as [Folder.Read] saw it.
type Brief struct {
	Data     []byte
	Info     fs.FileInfo
	Extended map[string][]byte
}

// NewFolder is not available on this system.
func NewFolder(*os.File) (*Folder, error) { return nil, unsupported("folder") }

// Close does nothing.
func (*Folder) Close() error { return nil }

// Lstat is not available on this system.
func (*Folder) Lstat(string) (fs.FileInfo, error) { return nil, unsupported("folder") }

// Read is not available on this system.
func (*Folder) Read(string, bool, bool) (Brief, error) { return Brief{}, unsupported("folder") }
