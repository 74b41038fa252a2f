package crashtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// runs is how often a rollback is killed, at the points of its journal first.
const runs = 200

// The points of the journal: where the plan was recorded, and four for each
// step. A plan with other steps makes the test fail, not pass unnoticed.
const (
	isolatePoints  = 1 + 4*3 // deny, prepare, exchange
	rollbackPoints = 1 + 4*3 // stage, exchange, baseline
)

// TestCrash kills the program in the middle of containment: once at each point
// of its journal, then at random moments, also in the middle of resuming.
func TestCrash(t *testing.T) {
	s := newSite(t)
	typical := s.clone(t).time(t, "rollback")
	t.Logf("a rollback that nobody interrupts takes %v", typical.Round(time.Millisecond))
	for n := range isolatePoints {
		t.Run(fmt.Sprintf("isolate_point_%d", n+1), func(t *testing.T) {
			t.Parallel()
			s.clone(t).crash(t, "isolate", moment{point: n + 1})
		})
	}
	var killed, begun, again atomic.Int32
	t.Cleanup(func() {
		t.Logf("%d rollbacks: %d killed before their end, %d of these after the plan was recorded; %d times resuming was killed too",
			runs, killed.Load(), begun.Load(), again.Load())
	})
	for n := range runs {
		m := moment{point: n + 1}
		if n >= rollbackPoints {
			m = moment{after: rand.N(typical * 5 / 4)}
			if n%3 == 0 {
				m.again = rand.N(typical) + 1
			}
		}
		t.Run(fmt.Sprintf("rollback_%d", n+1), func(t *testing.T) {
			t.Parallel()
			o := s.clone(t).crash(t, "rollback", m)
			for counter, counts := range map[*atomic.Int32]bool{&killed: o.killed, &begun: o.begun, &again: o.again} {
				if counts {
					counter.Add(1)
				}
			}
		})
	}
}

// TestPointsAreAll checks that the table above has every point of the journal.
func TestPointsAreAll(t *testing.T) {
	s := newSite(t)
	for what, points := range map[string]int{"isolate": isolatePoints, "rollback": rollbackPoints} {
		if killed, _ := s.clone(t).child(t, what, moment{point: points + 1}); killed {
			t.Errorf("%s has more than %d points", what, points)
		}
		if killed, _ := s.clone(t).child(t, what, moment{point: points}); !killed {
			t.Errorf("%s has fewer than %d points", what, points)
		}
	}
}

// moment is when to kill the program: at a point of its journal, counted from
// 1, or after a while; and after another while when it resumes.
type moment struct {
	point        int
	after, again time.Duration
}

// outcome is what became of one run.
type outcome struct{ killed, begun, again bool }

// crash kills the program once or twice, and checks what it left and what
// resuming makes of it.
func (s *site) crash(t *testing.T, what string, m moment) (o outcome) {
	t.Helper()
	recorded := s.record(t)
	o.killed, _ = s.child(t, what, m)
	recorded = s.left(t, what, recorded)
	if code, out := s.run(t, "incident", "verify", s.incident); code != 0 || value(t, out, "verdict") != "intact" {
		t.Errorf("the record and the evidence: exit code %d, %s", code, out)
	}
	o.begun = o.killed && s.begun(t)
	if m.again > 0 {
		o.again, _ = s.child(t, "resume", moment{after: m.again})
		recorded = s.left(t, what, recorded)
	}
	s.finish(t, what)
	s.left(t, what, recorded)
	return o
}

// left checks what has to hold at every moment.
func (s *site) left(t *testing.T, what string, recorded map[string][]evidence.Stored) map[string][]evidence.Stored {
	t.Helper()
	allowed := []map[string]string{s.tampered, s.good}
	if what == "isolate" {
		allowed[1] = s.marker(t)
	}
	got := tree(t, s.path("models", "m"))
	if !slices.ContainsFunc(allowed, func(want map[string]string) bool { return maps.Equal(want, got) }) {
		t.Errorf("the serving path holds %d files that are neither what was there nor what was meant to be", len(got))
	}
	now := s.record(t) // both verify
	for log, before := range recorded {
		if len(now[log]) < len(before) || !slices.EqualFunc(before, now[log][:len(before)], sameRow) {
			t.Errorf("the record %s had %d entries and has %d: something was lost or rewritten", log, len(before), len(now[log]))
		}
	}
	return now
}

func sameRow(a, b evidence.Stored) bool { return a.Seq == b.Seq && bytes.Equal(a.Raw, b.Raw) }

// begun reports whether a plan is in the record.
func (s *site) begun(t *testing.T) bool {
	t.Helper()
	return slices.ContainsFunc(s.record(t)[s.incident], func(row evidence.Stored) bool {
		return strings.Contains(string(row.Raw), `"kind":"`+incident.KindPlanned+`"`)
	})
}

// finish resumes, or begins anew where the program was killed before it had
// recorded anything, and checks that all is well then.
func (s *site) finish(t *testing.T, what string) {
	t.Helper()
	state := map[string]string{"isolate": "contained", "rollback": "recovered"}[what]
	code, out := s.run(t, "incident", "resume", s.incident)
	if code == 0 && !s.begun(t) {
		code, out = s.run(t, "incident", what, s.incident, "--apply")
	}
	if code != 0 || value(t, out, "state") != state {
		t.Fatalf("after resuming: exit code %d, %s", code, out)
	}
	serving := s.path("models", "m")
	if what == "isolate" {
		if diff := cmp.Diff(s.marker(t), tree(t, serving)); diff != "" {
			t.Errorf("serving path (-want +got):\n%s", diff)
		}
		return
	}
	if code, out := s.run(t, "verify", serving); code != 0 || value(t, out, "verdict") != "verified" {
		t.Errorf("what is served: exit code %d, %s", code, out)
	}
	if code, out := s.run(t, "check"); code != 0 {
		t.Errorf("check: exit code %d, %s", code, out)
	}
	if !maps.Equal(s.good, tree(t, serving)) {
		t.Error("what is served is not the good version")
	}
}

func value(t *testing.T, out []byte, field string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(out, &fields); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return fmt.Sprint(fields[field])
}

// time returns how long a command takes when it is let alone.
func (s *site) time(t *testing.T, what string) time.Duration {
	t.Helper()
	start := time.Now()
	if killed, code := s.child(t, what, moment{}); killed || code != 0 {
		t.Fatalf("%s: exit code %d", what, code)
	}
	return time.Since(start)
}

// child runs a command of the incident in a process of its own, kills it at
// the moment, and reports whether it was killed, or its exit code.
func (s *site) child(t *testing.T, what string, m moment) (killed bool, code int) {
	t.Helper()
	c := s.start(t, what, m.point)
	if m.after > 0 {
		kill := time.AfterFunc(m.after, func() { _ = c.Process.Kill() })
		defer kill.Stop()
	}
	return c.wait(t)
}

type process struct {
	*exec.Cmd
	stderr *bytes.Buffer
}

// start begins a command and returns when the child is about to call it.
func (s *site) start(t *testing.T, what string, point int) process {
	t.Helper()
	return s.startWith(t, point, s.containment(what)...)
}

func (s *site) startWith(t *testing.T, point int, args ...string) process {
	t.Helper()
	c := process{exec.Command(os.Args[0]), &bytes.Buffer{}}
	c.Env = append(os.Environ(), childDir+"="+s.dir, childPoint+"="+strconv.Itoa(point), childArgs+"="+strings.Join(args, "\n"))
	c.Stderr = c.stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, len(ready))); err != nil {
		t.Fatalf("the child did not start: %v", err)
	}
	return c
}

func (s *site) containment(what string) []string {
	args := []string{"incident", what, s.incident}
	if what != "resume" {
		args = append(args, "--apply")
	}
	return args
}

func (c process) wait(t *testing.T) (killed bool, code int) {
	t.Helper()
	var exit *exec.ExitError
	if err := c.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() && status.ExitStatus() != 0 && status.ExitStatus() != exitRefused {
		t.Fatalf("the child ended with exit code %d: %s", status.ExitStatus(), c.stderr)
	}
	return status.Signaled(), status.ExitStatus()
}

const exitRefused = 5

// TestTwoAtOnce lets two processes isolate the same model at once: one of them
// acts, the other one is refused or finds it done.
func TestTwoAtOnce(t *testing.T) {
	s := newSite(t)
	var refused atomic.Int32
	t.Cleanup(func() { t.Logf("the other one was refused %d times of 6", refused.Load()) })
	for n := range 6 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			s := s.clone(t)
			recorded := s.record(t)
			both := []process{s.start(t, "isolate", 0), s.start(t, "isolate", 0)}
			good := 0
			for _, c := range both {
				switch _, code := c.wait(t); code {
				case 0:
					good++
				default:
					refused.Add(1)
				}
			}
			if good == 0 {
				t.Errorf("both were refused: %s, %s", both[0].stderr, both[1].stderr)
			}
			if n := s.executed(t, "exchange"); n != 1 {
				t.Errorf("the model was exchanged %d times", n)
			}
			s.left(t, "isolate", recorded)
			s.finish(t, "isolate")
		})
	}
}

// TestTwoWait lets two processes isolate the same model at once that wait for
// each other: none is refused because of the other, but for what it has done
// already.
func TestTwoWait(t *testing.T) {
	s := newSite(t)
	for n := range 3 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			s := s.clone(t)
			args := append(s.containment("isolate"), "--wait", "1m")
			for _, c := range []process{s.startWith(t, 0, args...), s.startWith(t, 0, args...)} {
				if _, code := c.wait(t); code != 0 && !strings.Contains(c.stderr.String(), "it was isolated before") {
					t.Errorf("exit code %d: %s", code, c.stderr)
				}
			}
			if n := s.executed(t, "exchange"); n != 1 {
				t.Errorf("the model was exchanged %d times", n)
			}
			s.finish(t, "isolate")
		})
	}
}

// TestTwoIncidents lets two processes act on the same model for two incidents:
// they exclude each other by what they act on.
func TestTwoIncidents(t *testing.T) {
	s := newSite(t)
	other := value(t, s.must(t, 0, "incident", "open", "--model", "m", "--summary", "again"), "incident_id")
	s.must(t, 0, "incident", "assess", other)
	for n := range 3 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			s := s.clone(t)
			second := *s
			second.incident = other
			good := 0
			for _, c := range []process{s.start(t, "isolate", 0), second.start(t, "isolate", 0)} {
				if _, code := c.wait(t); code == 0 {
					good++
				}
			}
			if n := s.executed(t, "exchange") + s.executedIn(t, other, "exchange"); n != 1 || good == 0 {
				t.Errorf("the model was exchanged %d times, %d went well", n, good)
			}
			if files := tree(t, s.path("models", "m")); len(files) != 1 {
				t.Errorf("the model is served: %d files", len(files))
			}
		})
	}
}

// executed counts how often a step was begun.
func (s *site) executed(t *testing.T, step string) (n int) {
	t.Helper()
	return s.executedIn(t, s.incident, step)
}

func (s *site) executedIn(t *testing.T, log, step string) (n int) {
	t.Helper()
	for _, row := range s.rows(t, log) {
		e, err := evidence.ParseEntry(row.Raw)
		if err != nil {
			t.Fatal(err)
		}
		var intent incident.StepIntent
		if e.Kind != incident.KindIntent {
			continue
		}
		if err := e.Decode(&intent); err != nil {
			t.Fatal(err)
		}
		if intent.Step == step {
			n++
		}
	}
	return n
}
