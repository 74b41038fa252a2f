package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ProcessReport is what was seen of the processes.
type ProcessReport struct {
	Processes []Process `json:"processes"`
	// Missing says what could not be read, and why.
	Missing []string `json:"missing"`
}

// Process is one process as it was seen. Texts that are not printable are
// quoted in Go syntax.
type Process struct {
	PID  int `json:"pid"`
	PPID int `json:"ppid"`
	// UID is the effective user, -1 when it could not be read.
	UID   int    `json:"uid"`
	Name  string `json:"name"`
	State string `json:"state"`
	// Args is the command line, masked by [MaskArgs]. Processes can change
	// what is seen here.
	Args    []string  `json:"args"`
	Started time.Time `json:"started,omitzero"`
	Exe     string    `json:"exe,omitempty"`
	// ExeDeleted says that the program's file is gone or was replaced.
	ExeDeleted bool   `json:"exe_deleted,omitempty"`
	Cwd        string `json:"cwd,omitempty"`
	// Environment holds the names of variables, never their values.
	Environment []string `json:"environment,omitempty"`
	// ModelFiles are the files below the asked-for directories that the
	// process has open or mapped.
	ModelFiles []HeldFile `json:"model_files,omitempty"`
}

// HeldFile is a file that a process holds.
type HeldFile struct {
	Path string `json:"path"`
	// Held is "open" or "mapped".
	Held string `json:"held"`
	// FD is the descriptor of an open file, whose content can be read
	// through /proc/<pid>/fd even when it is deleted; -1 for a mapped one.
	FD int `json:"fd"`
	// Deleted says that the path leads to this file no more. The kernel
	// tells by a suffix, which a file's name can have by itself.
	Deleted bool `json:"deleted,omitempty"`
}

// Processes reads the processes from proc, which is "/proc" on a living
// system. Files below dirs that a process holds are listed with it; a process
// in another mount namespace may know them by other paths. An error means
// that nothing could be read, or that ctx is done.
func Processes(ctx context.Context, proc string, dirs ...string) (ProcessReport, error) {
	h := &host{proc: proc}
	boot := h.bootTime()
	report := ProcessReport{Processes: []Process{}}
	err := h.eachPID(ctx, func(pid int) {
		if p, ok := h.process(pid, boot, dirs); ok {
			report.Processes = append(report.Processes, p)
		}
	})
	report.Missing = h.gaps()
	return report, err
}

// process reads one process; false when it has ended.
func (h *host) process(pid int, boot time.Time, dirs []string) (Process, bool) {
	dir := strconv.Itoa(pid)
	data, err := read(h.path(dir, "stat"), maxSmall)
	if err != nil {
		h.miss(of(pid, "stat"), err)
		return Process{}, false
	}
	st, err := parseStat(data)
	if err != nil {
		h.miss(of(pid, "stat"), err)
		return Process{}, false
	}
	p := Process{PID: pid, PPID: st.ppid, Name: text([]byte(st.name)), State: st.state}
	if !boot.IsZero() && st.start <= maxTicks {
		p.Started = boot.Add(time.Duration(st.start) * (time.Second / ticksPerSecond))
	}
	p.UID = h.uid(pid)
	p.Args = MaskArgs(splitNUL(h.readNoted(of(pid, "command line"), maxArgs, dir, "cmdline")))
	p.Environment = environNames(h.readNoted(of(pid, "environment"), maxEnviron, dir, "environ"))
	p.Exe, p.ExeDeleted = strings.CutSuffix(h.link(pid, "exe"), deletedSuffix)
	p.Exe, p.Cwd = text([]byte(p.Exe)), text([]byte(h.link(pid, "cwd")))
	if len(dirs) > 0 {
		p.ModelFiles = h.held(pid, dirs)
	}
	return p, true
}

const (
	deletedSuffix = " (deleted)"
	// ticksPerSecond is USER_HZ, which is 100 on every platform Go runs on.
	ticksPerSecond = 100
	// maxTicks keeps the start time within a [time.Duration]: 200 years.
	maxTicks = 200 * 365 * 86400 * ticksPerSecond
)

type stat struct {
	ppid  int
	name  string
	state string
	start uint64 // ticks after boot
}

// parseStat reads /proc/<pid>/stat (proc_pid_stat(5)). The name stands in
// parentheses and may hold any byte, these included.
func parseStat(data []byte) (stat, error) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return stat{}, errors.New("no name in parentheses")
	}
	f := strings.Fields(string(data[end+1:]))
	if len(f) < 20 || len(f[0]) != 1 {
		return stat{}, fmt.Errorf("only %d fields behind the name", len(f))
	}
	ppid, err := strconv.ParseUint(f[1], 10, 31)
	if err != nil {
		return stat{}, fmt.Errorf("parent %.20q is no number", f[1])
	}
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("start time %.20q is no number", f[19])
	}
	return stat{int(ppid), string(data[open+1 : end]), f[0], start}, nil
}

// bootTime reads the time of boot from /proc/stat; zero when it is not there.
func (h *host) bootTime() time.Time {
	for line := range strings.Lines(string(h.readNoted("time of boot", 1<<20, "stat"))) {
		if digits, ok := strings.CutPrefix(strings.TrimSpace(line), "btime "); ok {
			if sec, err := strconv.ParseInt(digits, 10, 40); err == nil {
				return time.Unix(sec, 0).UTC()
			}
		}
	}
	h.miss("time of boot", errors.New("not in /proc/stat; start times are left out"))
	return time.Time{}
}

// uid returns the effective user of a process, or -1.
func (h *host) uid(pid int) int {
	data := h.readNoted(of(pid, "status"), maxSmall, strconv.Itoa(pid), "status")
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "Uid:" {
			if uid, err := strconv.ParseUint(f[2], 10, 32); err == nil {
				return int(uid)
			}
		}
	}
	return -1
}

func splitNUL(data []byte) []string {
	out := []string{}
	if data = bytes.TrimRight(data, "\x00"); len(data) == 0 {
		return out
	}
	for part := range bytes.SplitSeq(data, []byte{0}) {
		out = append(out, text(part))
	}
	return out
}

// environNames returns the names of an environment, sorted. What does not
// look like a name is left out: a process can write anything there, and
// between two variables' values nothing may slip through.
func environNames(data []byte) []string {
	var names []string
	for part := range bytes.SplitSeq(data, []byte{0}) {
		name, _, ok := strings.Cut(string(part), "=")
		if ok && isVariable(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func isVariable(name string) bool {
	if name == "" || len(name) > 256 || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// held returns the files below dirs that a process has open or mapped.
func (h *host) held(pid int, dirs []string) []HeldFile {
	var files []HeldFile
	for fd, target := range h.fds(pid) {
		path, deleted := strings.CutSuffix(target, deletedSuffix)
		if belowAny(path, dirs) {
			files = append(files, HeldFile{text([]byte(path)), "open", fd, deleted})
		}
	}
	maps := h.readNoted(of(pid, "mappings"), maxMaps, strconv.Itoa(pid), "maps")
	for line := range strings.Lines(string(maps)) {
		path, deleted, ok := parseMapping(line)
		if ok && belowAny(path, dirs) {
			files = append(files, HeldFile{text([]byte(path)), "mapped", -1, deleted})
		}
	}
	slices.SortFunc(files, func(a, b HeldFile) int {
		return strings.Compare(a.Path+a.Held+strconv.Itoa(a.FD), b.Path+b.Held+strconv.Itoa(b.FD))
	})
	return slices.Compact(files)
}

// parseMapping reads the path of one line of /proc/<pid>/maps
// (proc_pid_maps(5)): five fields, then the path, in which the kernel writes
// a newline as \012. False when no file is mapped.
func parseMapping(line string) (path string, deleted, ok bool) {
	rest := strings.TrimSuffix(line, "\n")
	for range 5 {
		_, after, found := strings.Cut(rest, " ")
		if !found {
			return "", false, false
		}
		rest = strings.TrimLeft(after, " ")
	}
	if !strings.HasPrefix(rest, "/") {
		return "", false, false
	}
	path, deleted = strings.CutSuffix(rest, deletedSuffix)
	return strings.ReplaceAll(path, `\012`, "\n"), deleted, true
}

func belowAny(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
	})
}
