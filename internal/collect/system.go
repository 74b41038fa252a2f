package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of what is read beside the processes.
const (
	maxMounts   = 4 << 20  // bytes of mountinfo
	maxListed   = 20_000   // files listed of temporary file systems
	maxUnit     = 1 << 20  // bytes of one unit file
	maxUnits    = 5000     // unit files looked at
	maxLog      = 64 << 20 // bytes read from the end of one log
	maxLogFiles = 200
	maxLines    = 1000 // lines kept of one log
	maxPackages = 64 << 20
)

// System is what tells one run of a host from another.
type System struct {
	Kernel string `json:"kernel"`
	BootID string `json:"boot_id"`
	Uptime string `json:"uptime"`
	// Now is what the host's clock said when this was read, Clock how right
	// the kernel holds it to be.
	Now   time.Time `json:"now"`
	Clock string    `json:"clock"`
}

// ReadSystem reads kernel and boot. The time and the state of the clock are
// the caller's.
func ReadSystem(proc string, now time.Time, clock string) (System, []string) {
	h := &host{proc: proc}
	small := func(what string, elem ...string) string {
		data, err := read(h.path(elem...), maxSmall)
		if err != nil {
			h.missing = append(h.missing, what+": "+reason(err))
		}
		return text(data)
	}
	s := System{Kernel: small("kernel", "version"), Now: now.UTC(), Clock: clock}
	s.BootID = small("boot id", "sys", "kernel", "random", "boot_id")
	s.Uptime = small("uptime", "uptime")
	if !strings.HasPrefix(clock, "synchronised") {
		h.missing = append(h.missing, "clock: "+clock)
	}
	return s, h.gaps()
}

// Mounts returns the mounts as the kernel lists them (proc_pid_mountinfo(5)).
func Mounts(proc string) (string, []string, error) {
	data, err := read(filepath.Join(proc, "self", "mountinfo"), maxMounts)
	if errors.Is(err, errCut) {
		return string(data), []string{"mounts: " + err.Error()}, nil
	}
	return string(data), nil, err
}

// Listed is a file of a temporary file system.
type Listed struct {
	Path     string    `json:"path"`
	Mode     string    `json:"mode"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Temporary lists what is on temporary file systems: whatever mounts calls
// tmpfs or ramfs, without the kernel's own.
func Temporary(ctx context.Context, mounts string) ([]Listed, []string, error) {
	h := &host{}
	found := []Listed{}
	for _, dir := range temporaryMounts(mounts) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				h.miss(text([]byte(path)), err)
				return nil
			case len(found) >= maxListed:
				h.missing = append(h.missing, fmt.Sprintf("%s: only the first %d files are listed", text([]byte(dir)), maxListed))
				return fs.SkipAll
			}
			info, err := d.Info()
			if err != nil {
				h.miss(text([]byte(path)), err)
				return nil
			}
			if d.Type()&fs.ModeSymlink == 0 || path != dir {
				found = append(found, Listed{text([]byte(path)), info.Mode().String(), info.Size(), info.ModTime().UTC()})
			}
			return nil
		})
		if err != nil {
			return found, h.gaps(), err
		}
	}
	return found, h.gaps(), nil
}

// temporaryMounts reads the mount points of temporary file systems.
func temporaryMounts(mounts string) (dirs []string) {
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) == 0 || kind[0] != "tmpfs" && kind[0] != "ramfs" {
			continue
		}
		dir := unescape(fields[4])
		if dir != "/" && !belowAny(dir, []string{"/proc", "/sys"}) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// unescape undoes what the kernel does to spaces and the like in paths.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// Mention is a file that mentions the model, with the lines that do, or the
// whole of it. Obvious secrets are masked as [MaskArgs] does.
type Mention struct {
	Path  string   `json:"path"`
	Lines []string `json:"lines"`
}

// UnitDirs are where systemd reads unit files, and crontabs are kept.
func UnitDirs() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/etc/cron.d", "/var/spool/cron"}
}

// Units returns the unit files and crontabs below dirs that mention path.
func Units(ctx context.Context, dirs []string, path string) ([]Mention, []string, error) {
	h := &host{}
	found, looked := []Mention{}, 0
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				h.miss(text([]byte(name)), err)
				return nil
			case !d.Type().IsRegular():
				return nil
			case looked >= maxUnits:
				h.missing = append(h.missing, fmt.Sprintf("unit files: only the first %d were read", maxUnits))
				return fs.SkipAll
			}
			looked++
			data, err := read(name, maxUnit)
			if err != nil {
				h.miss(text([]byte(name)), err)
			}
			if strings.Contains(string(data), path) {
				found = append(found, Mention{text([]byte(name)), maskLines(strings.Split(string(data), "\n"))})
			}
			return nil
		})
		if err != nil {
			return found, h.gaps(), err
		}
	}
	return found, h.gaps(), nil
}

// Logs returns the lines of the logs directly in dirs that mention path.
// Binary and compressed logs are not searched, and are named as missing.
func Logs(ctx context.Context, dirs []string, path string) ([]Mention, []string, error) {
	h := &host{}
	found, looked := []Mention{}, 0
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			h.miss(dir, err)
			continue
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return found, h.gaps(), err
			}
			name := filepath.Join(dir, e.Name())
			switch {
			case e.IsDir() && e.Name() == "journal", strings.HasSuffix(name, ".gz"), strings.HasSuffix(name, ".xz"), strings.HasSuffix(name, ".zst"):
				h.missing = append(h.missing, text([]byte(name))+": binary or compressed, not searched")
			case !e.Type().IsRegular():
			case looked >= maxLogFiles:
				h.missing = append(h.missing, text([]byte(name))+": too many logs")
			default:
				looked++
				if lines := h.grep(name, path); len(lines) > 0 {
					found = append(found, Mention{text([]byte(name)), maskLines(lines)})
				}
			}
		}
	}
	return found, h.gaps(), nil
}

// grep returns the lines at the end of a file that contain what.
func (h *host) grep(name, what string) (lines []string) {
	f, err := os.Open(name)
	if err != nil {
		h.miss(text([]byte(name)), err)
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxLog {
		h.missing = append(h.missing, fmt.Sprintf("%s: only its last %d bytes were searched", text([]byte(name)), maxLog))
		if _, err := f.Seek(-maxLog, 2); err != nil {
			h.miss(text([]byte(name)), err)
		}
	}
	eachLine(f, func(line string) bool {
		if strings.Contains(line, what) {
			lines = append(lines, line)
		}
		return len(lines) < maxLines
	})
	if len(lines) == maxLines {
		h.missing = append(h.missing, fmt.Sprintf("%s: only the first %d lines that mention the model are kept", text([]byte(name)), maxLines))
	}
	return lines
}

func maskLines(lines []string) []string {
	out := make([]string, 0, len(lines))
	for _, masked := range MaskArgs(lines) {
		out = append(out, text([]byte(masked)))
	}
	return out
}
