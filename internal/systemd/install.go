package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Services is what installing asks of a service manager: [Manager] is one.
// Errors are faults: Refused when the manager denies it, Incomplete when it
// does not answer.
type Services interface {
	Reload(ctx context.Context) error
	Enable(ctx context.Context, file string) error
	Enabled(ctx context.Context, unit string) (bool, error)
	Restart(ctx context.Context, unit string) error
	ReloadUnit(ctx context.Context, unit string) error
	Look(ctx context.Context, unit string) (State, error)
}

// Outcome says what installing does to a unit file.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
)

// maxUnit bounds a unit file that is read.
const maxUnit = 1 << 20

// Compare says what writing a unit would do to the file that is there. A file
// that ours does not say was written by us, or that was edited since, is
// refused: it is somebody else's.
func Compare(file string, unit []byte, ours func(text []byte) bool) (Outcome, error) {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Created, nil
	case err != nil:
		return "", fault.New(fault.Incomplete, "look at the unit: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxUnit:
		return "", fault.New(fault.Refused, "%s is no unit file of ours", artifact.Quote(file)).WithHint("look at what it is, and move it away")
	}
	text, err := os.ReadFile(file)
	switch {
	case err != nil:
		return "", fault.New(fault.Incomplete, "read the unit: %w", err)
	case bytes.Equal(text, unit):
		return Unchanged, nil
	case !ours(text):
		return "", fault.New(fault.Refused, "%s was edited by somebody, or is not ours", artifact.Quote(file)).
			WithHint("keep the changes in a drop-in (systemctl edit %s), move the file away, and run the same command again", filepath.Base(file))
	}
	return Changed, nil
}

// every is how long between two looks at a unit, settled how long it has to
// run before it counts as running.
const (
	every   = 200 * time.Millisecond
	settled = time.Second
)

// Install writes a unit, has it enabled and started, and waits until it was
// seen to run and to go on running. One that runs already with the same unit
// reads its configuration again.
func Install(ctx context.Context, m Services, file string, unit []byte, outcome Outcome, limit time.Duration) (State, error) {
	name := filepath.Base(file)
	if outcome != Unchanged {
		if err := fsop.WriteFileAtomic(file, unit, 0o644); err != nil {
			return State{}, fault.New(fault.Incomplete, "write the unit: %w", err)
		}
	}
	if err := m.Reload(ctx); err != nil {
		return State{}, err
	}
	if on, err := m.Enabled(ctx, name); err != nil || !on {
		if err := m.Enable(ctx, file); err != nil {
			return State{}, err
		}
	}
	before, err := m.Look(ctx, name)
	if err != nil {
		return before, err
	}
	if outcome == Unchanged && before.Active == "active" {
		err = m.ReloadUnit(ctx, name)
	} else {
		err = m.Restart(ctx, name)
	}
	if err != nil {
		return before, err
	}
	s, err := wait(ctx, m, file, limit)
	if err != nil {
		return s, err
	}
	if on, err := m.Enabled(ctx, name); err != nil || !on {
		return s, fault.New(fault.Incomplete, "%s runs, and is not enabled: it would not start with the host", artifact.Quote(name)).WithHint("systemctl enable %s", name)
	}
	return s, nil
}

// wait looks at the unit until it is active with the same process for a while.
func wait(ctx context.Context, m Services, file string, limit time.Duration) (s State, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errLate)
	defer cancel()
	name := filepath.Base(file)
	var pid uint32
	var since time.Time
	for {
		now, err := m.Look(ctx, name)
		switch {
		case errors.Is(context.Cause(ctx), errLate):
			return s, fault.New(fault.Incomplete, "%s was not seen to run within %s: %s", artifact.Quote(name), limit, s).WithHint("journalctl -u %s -n 50", name)
		case err != nil:
			return s, err
		}
		s = now
		switch {
		case s.Pending:
			pid = 0
		case s.Active == "failed" || s.Sub == "auto-restart":
			return s, fault.New(fault.Incomplete, "%s does not run: %s", artifact.Quote(name), s).WithHint("%s", s.remedy(name))
		case s.Active == "active" && !same(s.File, file):
			return s, fault.New(fault.Conflict, "%s runs from %s, which comes before %s", artifact.Quote(name), artifact.Quote(s.File), artifact.Quote(file)).
				WithHint("remove that file, then run the same command again")
		case s.Active != "active" || s.PID == 0 || s.PID != pid:
			pid, since = s.PID, time.Now()
		case time.Since(since) >= settled:
			return s, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errLate) {
			return s, cause
		}
	}
}

// same reports whether two paths lead to one file: a unit may be linked.
func same(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}

var errLate = errors.New("the time is over")

// String says it for people.
func (s State) String() string {
	text := s.Active + " (" + s.Sub + ")"
	if s.PID != 0 {
		text += fmt.Sprintf(", process %d", s.PID)
	}
	if s.Active != "active" && s.Result != "success" && s.Result != "" {
		text += fmt.Sprintf(", %s, exit code %d", artifact.Quote(s.Result), s.ExitCode)
	}
	if s.Status != "" {
		text += ": " + artifact.Quote(s.Status)
	}
	return text
}

// Exit codes of the program, and of systemd where it could not start one.
const (
	exitUsage  = 2
	exitNoExec = 203
	exitNoUser = 217
)

func (s State) remedy(name string) string {
	switch s.ExitCode {
	case exitUsage:
		return "the configuration does not hold: journalctl -u " + name + " -n 50 says where"
	case exitNoExec:
		return "the program cannot be started: see --program, its mode and its place"
	case exitNoUser:
		return "there is no such user: see --user"
	}
	return "journalctl -u " + name + " -n 50 says why"
}
