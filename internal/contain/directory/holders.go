package directory

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Limits of the look at open files.
const (
	maxHolders  = 20       // processes named
	maxMapBytes = 16 << 20 // of one process's list of mappings
)

// Holders says which processes have files of a directory open, as far as it
// could be seen.
type Holders struct {
	// Processes are "name (pid)", at most 20.
	Processes []string
	// Unseen counts the processes whose open files could not be looked at.
	Unseen int
	// Err is why nothing could be looked at.
	Err error
}

// String says it in half a sentence.
func (h Holders) String() string {
	if h.Err != nil {
		return "could not look who has it open: " + h.Err.Error()
	}
	text := "no process was seen to have it open"
	if len(h.Processes) > 0 {
		text = "still open in " + strings.Join(h.Processes, ", ")
	}
	if h.Unseen > 0 {
		text += fmt.Sprintf("; processes that could not be looked into: %d", h.Unseen)
	}
	return text
}

// OpenBy looks through the processes below proc, which is "/proc" on a living
// system, for those that have files below dir open or mapped. It goes by path:
// a process in another mount namespace can have another path for the same
// file and is missed.
func OpenBy(ctx context.Context, proc, dir string) Holders {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return Holders{Err: err}
	}
	var h Holders
	for _, e := range entries {
		if ctx.Err() != nil {
			h.Err = ctx.Err()
			return h
		}
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		held, err := holds(filepath.Join(proc, e.Name()), dir)
		switch {
		case held && len(h.Processes) < maxHolders:
			h.Processes = append(h.Processes, processName(proc, pid))
		case !held && os.IsPermission(err):
			h.Unseen++
		}
	}
	return h
}

// holds reports whether one process has a file below dir. The error is what
// kept it from looking everywhere.
func holds(process, dir string) (bool, error) {
	fds, err := os.ReadDir(filepath.Join(process, "fd"))
	if err != nil {
		return false, err
	}
	for _, fd := range fds {
		if target, err := os.Readlink(filepath.Join(process, "fd", fd.Name())); err == nil && below(target, dir) {
			return true, nil
		}
	}
	maps, err := os.Open(filepath.Join(process, "maps"))
	if err != nil {
		return false, err
	}
	defer maps.Close()
	lines := bufio.NewScanner(io.LimitReader(maps, maxMapBytes))
	for lines.Scan() {
		if fields := strings.SplitN(lines.Text(), "/", 2); len(fields) == 2 && below("/"+fields[1], dir) {
			return true, nil
		}
	}
	return false, lines.Err()
}

func processName(proc string, pid int) string {
	name, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		name = []byte("?")
	}
	return fmt.Sprintf("%s (%d)", artifact.Quote(strings.TrimSuffix(string(name), "\n")), pid)
}
