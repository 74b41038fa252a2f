package watch

import (
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

func identityOf(info fs.FileInfo) identity {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}
	}
	return identity{uint64(st.Dev), st.Ino} //nolint:unconvert // int64 on some platforms
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{id: identityOf(info), mode: info.Mode(), size: info.Size(), modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.changed = st.Ctim.Nano()
		s.owner, s.links = uint64(st.Uid)<<32|uint64(st.Gid), uint64(st.Nlink) //nolint:unconvert // narrower on some platforms
	}
	return s
}

// local are the file systems on which every change passes this kernel.
var local = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.F2FS_SUPER_MAGIC: "f2fs",
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.SQUASHFS_MAGIC: "squashfs", unix.ISOFS_SUPER_MAGIC: "iso9660", 0xe0f5e1e2: "erofs",
	0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs",
}

// remote are file systems that others write to, by their usual names. Whatever
// is in neither list counts as remote too.
var remote = map[int64]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb", unix.SMB2_SUPER_MAGIC: "smb2", unix.CIFS_SUPER_MAGIC: "cifs",
	unix.FUSE_SUPER_MAGIC: "fuse", unix.CEPH_SUPER_MAGIC: "ceph", unix.V9FS_MAGIC: "9p", unix.AFS_SUPER_MAGIC: "afs",
	0x0bd00bd0: "lustre", 0x47504653: "gpfs",
}

// visible reports whether this kernel sees every change below path, and the
// name of the file system.
func visible(path string) (name string, seen bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "an unknown file system", false
	}
	magic := int64(st.Type) & 0xffffffff //nolint:unconvert // int32 on some platforms, where it may be negative
	if name, ok := local[magic]; ok {
		return name, true
	}
	if name, ok := remote[magic]; ok {
		return name, false
	}
	return fmt.Sprintf("a file system of type %#x", magic), false
}
