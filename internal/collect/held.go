package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// maxHeld bounds how many held files are listed.
const maxHeld = 4096

// Held is a file that a process holds and that can be read through it, even
// when no name leads to it any more.
type Held struct {
	PID     int
	FD      int
	Path    string
	Deleted bool

	source string
}

// Name tells the file apart: its path, and through which process.
func (h Held) Name() string {
	return fmt.Sprintf("%s (process %d, descriptor %d)", h.Path, h.PID, h.FD)
}

// Origin is where it is read.
func (h Held) Origin() string { return h.source }

// Open opens the content for reading. A process can hold a pipe or a device
// under a path of its choice; only a regular file is opened.
func (h Held) Open() (*os.File, error) {
	info, err := os.Stat(h.source)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return os.Open(h.source)
}

// HeldFiles lists the open files below dirs, once each however many processes
// hold them: what is deleted, and what is no more the file at its path. The
// others are in the model itself. A process of another mount namespace can
// know the model by another path.
func HeldFiles(ctx context.Context, proc string, dirs ...string) ([]Held, []string, error) {
	h := &host{proc: proc}
	var found []Held
	var seen []os.FileInfo
	err := h.eachPID(ctx, func(pid int) {
		fds := h.fds(pid)
		numbers := make([]int, 0, len(fds))
		for fd := range fds {
			numbers = append(numbers, fd)
		}
		slices.Sort(numbers)
		for _, fd := range numbers {
			path, deleted := strings.CutSuffix(fds[fd], deletedSuffix)
			if !belowAny(path, dirs) {
				continue
			}
			one := Held{pid, fd, path, deleted, h.path(strconv.Itoa(pid), "fd", strconv.Itoa(fd))}
			info, err := os.Stat(one.source)
			if err != nil {
				h.miss(of(pid, "open file "+text([]byte(path))), err)
				continue
			}
			same := func(i os.FileInfo) bool { return os.SameFile(i, info) }
			if at, err := os.Stat(path); err == nil && os.SameFile(at, info) || slices.ContainsFunc(seen, same) {
				continue
			}
			if len(found) >= maxHeld {
				h.miss("held files", errCut)
				return
			}
			seen, found = append(seen, info), append(found, one)
		}
	})
	return found, h.gaps(), err
}

// Mapping is the memory map of a process that maps files of the model.
type Mapping struct {
	PID  int    `json:"pid"`
	Maps string `json:"maps"`
}

// Mappings returns the memory maps, as the kernel writes them, of the
// processes that map a file below dirs.
func Mappings(ctx context.Context, proc string, dirs ...string) ([]Mapping, []string, error) {
	h := &host{proc: proc}
	found := []Mapping{}
	err := h.eachPID(ctx, func(pid int) {
		maps := string(h.readNoted(of(pid, "mappings"), maxMaps, strconv.Itoa(pid), "maps"))
		for line := range strings.Lines(maps) {
			if path, _, ok := parseMapping(line); ok && belowAny(path, dirs) {
				found = append(found, Mapping{pid, maps})
				return
			}
		}
	})
	return found, h.gaps(), err
}
