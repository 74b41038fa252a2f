// Package collect reads the volatile evidence of a Linux host from files
// below /proc: processes, the model files they hold, and sockets. It starts
// no program, because the programs of a host under suspicion are not to be
// trusted; it trusts the kernel, and so cannot see what a kernel rootkit
// hides. It changes nothing and judges nothing.
//
// Environment variables are reported by name only. In arguments, values that
// are obviously secrets are masked; see [MaskArgs] for what is obvious.
package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// What is read at most; what is cut off is said in Missing.
const (
	maxProcesses = 1 << 16
	maxArgs      = 64 << 10  // bytes of one command line
	maxEnviron   = 256 << 10 // bytes of one environment
	maxMaps      = 16 << 20  // bytes of one list of mappings
	maxFDs       = 1 << 16   // descriptors of one process
	maxNet       = 64 << 20  // bytes of one table of sockets
	maxSmall     = 16 << 10  // bytes of status, stat and the like
	maxMissing   = 1000
)

// host is a view of /proc that notes what it could not see.
type host struct {
	proc    string
	missing []string
	dropped int
}

func (h *host) path(elem ...string) string {
	return filepath.Join(append([]string{h.proc}, elem...)...)
}

// miss notes what could not be read. A process that has ended meanwhile is
// not missing: it is not there.
func (h *host) miss(what string, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return
	case len(h.missing) >= maxMissing:
		h.dropped++
		return
	}
	h.missing = append(h.missing, what+": "+reason(err))
}

// reason is err without the path, which stands before it.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// gaps returns the list of what is missing; never nil, so that its JSON form
// is a list.
func (h *host) gaps() []string {
	out := append([]string{}, h.missing...)
	if h.dropped > 0 {
		out = append(out, fmt.Sprintf("%d more that could not be read", h.dropped))
	}
	return out
}

// pids returns the numbers of the processes in ascending order.
func (h *host) pids() ([]int, error) {
	entries, err := os.ReadDir(h.proc)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	if len(pids) > maxProcesses {
		h.miss("processes", fmt.Errorf("only the first %d of %d were read", maxProcesses, len(pids)))
		pids = pids[:maxProcesses]
	}
	return pids, nil
}

var errCut = errors.New("longer than is read")

// read returns at most limit bytes of a file; with more it returns them and
// errCut.
func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return data[:limit], errCut
	}
	return data, err
}

// readNoted is read, with trouble noted under what.
func (h *host) readNoted(what string, limit int64, elem ...string) []byte {
	data, err := read(h.path(elem...), limit)
	if err != nil {
		h.miss(what, err)
	}
	return data
}

// fds yields the descriptors of a process and where they lead.
func (h *host) fds(pid int) map[int]string {
	dir := h.path(strconv.Itoa(pid), "fd")
	d, err := os.Open(dir)
	if err != nil {
		h.miss(of(pid, "open files"), err)
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(maxFDs)
	if err != nil && !errors.Is(err, io.EOF) {
		h.miss(of(pid, "open files"), err)
	}
	if len(names) == maxFDs {
		h.miss(of(pid, "open files"), errCut)
	}
	links := make(map[int]string, len(names))
	unreadable, why := 0, error(nil)
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, name))
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				unreadable, why = unreadable+1, err
			}
			continue
		}
		links[fd] = target
	}
	if unreadable > 0 {
		h.miss(of(pid, fmt.Sprintf("%d of %d open files", unreadable, len(names))), why)
	}
	return links
}

func of(pid int, what string) string { return fmt.Sprintf("process %d: %s", pid, what) }

// link returns where a link of a process leads, or "".
func (h *host) link(pid int, name string) string {
	target, err := os.Readlink(h.path(strconv.Itoa(pid), name))
	if err != nil {
		h.miss(of(pid, name), err)
	}
	return target
}

// eachPID calls look for every process until ctx is done.
func (h *host) eachPID(ctx context.Context, look func(pid int)) error {
	pids, err := h.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		look(pid)
	}
	return nil
}

// text returns data as a string that JSON can carry unchanged: quoted when
// it is not UTF-8.
func text(data []byte) string { return artifact.Quote(string(bytes.TrimSuffix(data, []byte("\n")))) }
