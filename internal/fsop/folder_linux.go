package fsop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Folder is an open directory, for looking at many names in it one after the
// other with few calls of the system and next to no garbage. It is for one
// goroutine.
type Folder struct {
	dir    *os.File
	fd     int
	dev    uint64
	leases bool
	flags  int // of reads
	room   *room
	info   folderInfo
}

// room is what reading takes, used again and again.
type room struct {
	data  [BriefMost + 1]byte
	list  [1 << 10]byte // of names of extended attributes
	value []byte
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// BriefMost is the size of the largest file that [Folder.Read] reads.
const BriefMost = 64<<10 - 1

// NewFolder makes dir a Folder. It takes over dir, which Close closes.
func NewFolder(dir *os.File) (*Folder, error) {
	d := &Folder{dir: dir, fd: int(dir.Fd())}
	var st unix.Stat_t
	var sf unix.Statfs_t
	if err := errors.Join(unix.Fstat(d.fd, &st), unix.Fstatfs(d.fd, &sf)); err != nil {
		return nil, &os.PathError{Op: "stat", Path: dir.Name(), Err: err}
	}
	d.dev = st.Dev
	d.leases = leasesProve(int64(sf.Type))                          //nolint:unconvert // int32 on some platforms
	if d.flags = unix.RWF_DONTCACHE; inMemoryOnly(int64(sf.Type)) { //nolint:unconvert // as above
		d.flags = 0
	}
	return d, nil
}

// Close closes the directory. A nil Folder has none.
func (d *Folder) Close() error {
	if d == nil {
		return nil
	}
	if d.room != nil {
		rooms.Put(d.room)
		d.room = nil
	}
	return d.dir.Close()
}

// Lstat is [os.Lstat] of a name in the directory, which must have no slash.
// What it returns is good until the next call of a method.
func (d *Folder) Lstat(name string) (fs.FileInfo, error) {
	d.info.name = name
	err := again(func() error {
		return unix.Fstatat(d.fd, name, kernelStat(&d.info.st), unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return nil, &os.PathError{Op: "lstat", Path: name, Err: err}
	}
	return &d.info, nil
}

// Brief is a small file as [Folder.Read] saw it. Data and Info are good until
// the next call of a method.
type Brief struct {
	Data     []byte
	Info     fs.FileInfo
	Extended map[string][]byte // as of [Extended]
}

// errNotBrief is a file that has to be read with more care.
var errNotBrief = errors.New("it cannot be read in one go")

// keptMost is the size of the largest file that stays in the page cache when it
// is going to be read again.
const keptMost = 16 << 10

// Read reads the regular file name from beginning to end, and leaves the page
// cache as it was; but what is tiny stays there with soon, since to get it
// from the disk over and over would disturb more. It succeeds only when what it returns is a state that the
// file had: when a read lease was taken before and still stood afterwards, or,
// with lease false or where leases prove nothing, when nothing in the inode
// changed meanwhile and the name still is that of the file. Whatever else comes
// in the way is an error, which says no more than that others have to find out.
func (d *Folder) Read(name string, lease, soon bool) (b Brief, err error) {
	if d.room == nil {
		d.room, _ = rooms.Get().(*room)
	}
	var fd int
	err = again(func() (err error) {
		fd, err = unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return b, err
	}
	defer func() { _ = unix.Close(fd) }() // with it ends the lease
	leased := false
	if lease && d.leases {
		switch _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); {
		case err == nil:
			leased = true
		case !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM):
			return b, fmt.Errorf("%w: %w", errNotBrief, err)
		}
	}
	// After the lease: what is seen from here on is what was quiet.
	st := &d.info.st
	if err := syscall.Fstat(fd, st); err != nil {
		return b, err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Dev != d.dev || st.Size > BriefMost {
		return b, errNotBrief
	}
	if b.Data, err = d.whole(fd, st.Size, soon && st.Size <= keptMost); err != nil {
		return b, err
	}
	if b.Extended, err = d.extended(fd); err != nil {
		return b, err
	}
	d.info.name, b.Info = name, &d.info
	if leased {
		kind, err := unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
		if err != nil || kind != unix.F_RDLCK {
			return b, errNotBrief
		}
		return b, nil
	}
	return b, d.same(fd, name)
}

// whole reads what is to be size bytes, and nothing behind.
func (d *Folder) whole(fd int, size int64, keep bool) ([]byte, error) {
	want := d.room.data[:size+1]
	flags := d.flags
	if keep {
		flags = 0
	}
	n, err := readFlags(fd, want, flags)
	if flags == unix.RWF_DONTCACHE && notThere(err) {
		d.flags = unix.RWF_NOWAIT // before Linux 6.14: only what is in the page cache
		n, err = readFlags(fd, want, d.flags)
	}
	if err != nil || int64(n) != size {
		return nil, errNotBrief
	}
	return want[:n], nil
}

func readFlags(fd int, into []byte, flags int) (n int, err error) {
	err = again(func() error {
		n, err = unix.Preadv2(fd, [][]byte{into}, 0, flags)
		return err
	})
	return n, err
}

// extended returns nothing for a file without extended attributes.
func (d *Folder) extended(fd int) (map[string][]byte, error) {
	n, err := unix.Flistxattr(fd, d.room.list[:])
	switch {
	case errors.Is(err, unix.ENOTSUP) || err == nil && n == 0:
		return nil, nil
	case err != nil: // more names than have room, for one
		return nil, err
	}
	if d.room.value == nil {
		d.room.value = make([]byte, maxXattr)
	}
	values, _ := extendedValues(fd, d.room.list[:n], d.room.value, "") // the names of those that cannot be read stay
	return values, nil
}

// same reports, as an error, that the file changed since its inode was looked
// at, or that another one has its name.
func (d *Folder) same(fd int, name string) error {
	var after, named syscall.Stat_t
	err := syscall.Fstat(fd, &after)
	if err == nil {
		err = unix.Fstatat(d.fd, name, kernelStat(&named), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return err
	}
	// Reading may have set the time of access, which means nothing.
	after.Atim, named.Atim = d.info.st.Atim, d.info.st.Atim
	if after != d.info.st || named != d.info.st {
		return errNotBrief
	}
	return nil
}

// kernelStat is st as the other package has it: both are the kernel's struct.
func kernelStat(st *syscall.Stat_t) *unix.Stat_t { return (*unix.Stat_t)(unsafe.Pointer(st)) }

// again calls do until no signal interrupts it.
func again(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// folderInfo is an [fs.FileInfo] that is used again for the next file.
type folderInfo struct {
	name string
	st   syscall.Stat_t
}

func (i *folderInfo) Name() string       { return i.name }
func (i *folderInfo) Size() int64        { return i.st.Size }
func (i *folderInfo) IsDir() bool        { return i.Mode().IsDir() }
func (i *folderInfo) Sys() any           { return &i.st }
func (i *folderInfo) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }

// Mode returns what [os.Lstat] makes of the bits.
func (i *folderInfo) Mode() fs.FileMode {
	m := fs.FileMode(i.st.Mode & 0o777)
	switch i.st.Mode & syscall.S_IFMT {
	case syscall.S_IFBLK:
		m |= fs.ModeDevice
	case syscall.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case syscall.S_IFDIR:
		m |= fs.ModeDir
	case syscall.S_IFIFO:
		m |= fs.ModeNamedPipe
	case syscall.S_IFLNK:
		m |= fs.ModeSymlink
	case syscall.S_IFREG:
	case syscall.S_IFSOCK:
		m |= fs.ModeSocket
	default:
		m |= fs.ModeIrregular
	}
	if i.st.Mode&syscall.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if i.st.Mode&syscall.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if i.st.Mode&syscall.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}
