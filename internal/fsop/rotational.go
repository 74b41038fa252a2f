package fsop

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Rotational reports whether the file that info describes lies on a disk whose
// heads have to move, where reading from two places at once is slower than
// reading from one. The sysfs is "/sys", or its stand-in in tests. What is not
// known to rotate does not, and what virtio and Xen disks say of themselves is
// not knowledge: they claim to rotate unless told otherwise.
func Rotational(sysfs string, info fs.FileInfo) bool {
	id, err := IdentityOf(info)
	if err != nil {
		return false
	}
	major, minor := deviceNumbers(id.Dev)
	device := filepath.Join(sysfs, "dev", "block", fmt.Sprintf("%d:%d", major, minor))
	if target, err := os.Readlink(device); err == nil && virtual(filepath.Base(target)) {
		return false
	}
	for _, queue := range []string{"/queue", "/../queue"} { // a partition has its disk's
		flag, err := os.ReadFile(device + queue + "/rotational")
		if err == nil {
			return bytes.HasPrefix(flag, []byte("1"))
		}
	}
	return false
}

func virtual(disk string) bool {
	return strings.HasPrefix(disk, "vd") || strings.HasPrefix(disk, "xvd")
}
