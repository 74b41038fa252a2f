package e2e_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cluster"
)

// stageInMemory is a stage in a cluster in memory, which can be had again and
// again in the same state.
type stageInMemory struct {
	stage
	m *memory
}

func newStage(t *testing.T, settle int, others ...func(context.Context, cluster.API)) stageInMemory {
	t.Helper()
	s := stage{scenario: scenario{name: "deployment", namespaces: []string{"deployment"}, replicas: 3, patience: 5 * time.Second}}
	m := newMemory(others...)
	bind(t, m, "responder", s.namespaces...)
	s.deploy(t, m)
	s.host = newHost(t, newGate(t, stub{m}).kubeconfig(t, "responder"), "fraud", s.read(t, "workloads.yaml", "deployment"), settle)
	s.served = s.pods(t, m)
	s.host.declare("fraud")
	return stageInMemory{s, m}
}

// again returns the stage anew, and the gate of its API.
func (s stageInMemory) again(t *testing.T) (stageInMemory, *gate) {
	t.Helper()
	s.m = s.m.clone()
	g := newGate(t, stub{s.m})
	h := *s.host
	h.t, h.dir, h.kubeconfig = t, t.TempDir(), g.kubeconfig(t, "responder")
	h.config = filepath.Join(h.dir, "config.yaml")
	copyTree(t, s.host.dir, h.dir)
	s.host = &h
	return s, g
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, rel), data, info.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(to, rel), info.ModTime(), info.ModTime()) // by which it is known since when a version is good
	})
	if err != nil {
		t.Fatal(err)
	}
}

// once are faults of one request.
var once = map[string]fate{
	"connection_lost_before": {cutBefore: true},
	"answer_lost":            {cutAfter: true},
	"too_many_requests":      {status: 429},
	"server_error":           {status: 500},
	"conflict":               {status: 409},
	"invalid":                {status: 422},
	"forbidden":              {status: 403},
}

// changes reports whether a request changes something for good.
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.URL.Query().Get("dryRun") == "" && !strings.Contains(r.URL.Path, "selfsubjectaccessreviews")
}

// TestEveryRequestFails lets each request of an isolation fail once, in each
// way. It ends contained, or says what is not: and then resume ends it.
func TestEveryRequestFails(t *testing.T) {
	base := newStage(t, 0, others...)
	var all, changing int64
	s, g := base.again(t)
	g.tell(func(r *http.Request) fate {
		all++
		if changes(r) {
			changing++
		}
		return fate{}
	})
	s.host.act(0, "isolate", "--apply")
	s.contained(t, s.m, s.host, s.served)
	if changing < 7 || all < 40 {
		t.Fatalf("%d requests, of which %d change something", all, changing)
	}
	t.Logf("%d requests, of which %d change something", all, changing)
	for name, what := range once {
		for n := range changing {
			t.Run(fmt.Sprintf("%s_%d", name, n+1), func(t *testing.T) {
				t.Parallel()
				base.struck(t, what, n+1, changes)
			})
		}
	}
	for n := range all { // looking fails in one way after the other
		for k, name := range []string{"answer_lost", "too_many_requests", "server_error", "forbidden", "conflict"} {
			if int(n)%20 == k*4 {
				t.Run(fmt.Sprintf("%s_of_all_%d", name, n+1), func(t *testing.T) {
					t.Parallel()
					base.struck(t, once[name], n+1, func(*http.Request) bool { return true })
				})
			}
		}
	}
}

// struck isolates while the n-th request of those that count fails.
func (s stageInMemory) struck(t *testing.T, what fate, n int64, counts func(*http.Request) bool) {
	s, g := s.again(t)
	var seen atomic.Int64
	g.tell(func(r *http.Request) fate {
		if counts(r) && seen.Add(1) == n {
			return what
		}
		return fate{}
	})
	run := []string{"isolate", s.host.incident, "--kubeconfig", s.host.kubeconfig, "--apply"}
	code, _, stderr := s.host.try(append([]string{"incident"}, run...)...)
	if seen.Load() < n {
		t.Fatalf("only %d such requests", seen.Load())
	}
	if code != 0 {
		if !strings.Contains(stderr, "hint: ") {
			t.Errorf("exit code %d without a way to go on: %s", code, stderr)
		}
		if state := s.host.run(0, "incident", "show", s.host.incident)["state"]; state == "contained" {
			t.Errorf("exit code %d, and the state is %v: %s", code, state, stderr)
		}
		s.host.goOn(t, code, stderr, run...)
	}
	s.contained(t, s.m, s.host, s.served)
	s.host.rotated()
	undone := s.host.act(0, "undo", "--apply")
	if n := len(s.endpoints(t.Context(), s.m)); n != s.replicas {
		t.Errorf("taken back, %d of %d replicas serve: %v", n, s.replicas, undone)
	}
}

// TestKilledAtEveryPoint kills the program at each point of the journal of an
// isolation, of taking it back, and of a rollback; the next one ends the work.
func TestKilledAtEveryPoint(t *testing.T) {
	base := newStage(t, 0, others...)
	before := base.state(t, base.m)
	isolated, _ := base.again(t)
	isolated.host.act(0, "isolate", "--apply")
	isolated.host.rotated()
	for command, of := range map[string]struct {
		from stageInMemory
		ends func(t *testing.T, s stageInMemory)
	}{
		"isolate":  {base, func(t *testing.T, s stageInMemory) { s.contained(t, s.m, s.host, s.served) }},
		"undo":     {isolated, func(t *testing.T, s stageInMemory) { s.returned(t, s.m, before) }},
		"rollback": {isolated, func(t *testing.T, s stageInMemory) { s.restored(t, s.m, s.served) }},
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			n := 1
			for ; ; n++ {
				s, _ := of.from.again(t)
				if !s.host.killed(t, n, command) {
					of.ends(t, s)
					break
				}
				s.host.act(0, "resume")
				of.ends(t, s)
				if t.Failed() {
					t.Fatalf("after it was killed at point %d", n)
				}
			}
			if n < 13 { // fewer are in none of the plans
				t.Errorf("only %d points", n-1)
			}
			t.Logf("killed at %d points", n-1)
		})
	}
}

// TestStorms lets much fail for a while: the program waits and goes on.
func TestStorms(t *testing.T) {
	base := newStage(t, 0, others...)
	for name, every := range map[string]func(n int64, r *http.Request) fate{
		"two_of_three_too_many": func(n int64, _ *http.Request) fate {
			if n%3 != 0 {
				return once["too_many_requests"]
			}
			return fate{}
		},
		"every_third_connection_drops": func(n int64, _ *http.Request) fate {
			return fate{cutBefore: n%6 == 2, cutAfter: n%6 == 5}
		},
		"every_first_change_conflicts": func() func(int64, *http.Request) fate {
			met := map[string]bool{}
			return func(_ int64, r *http.Request) fate {
				if first := !met[r.URL.Path]; changes(r) && first {
					met[r.URL.Path] = true
					return once["conflict"]
				}
				return fate{}
			}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, g := base.again(t)
			var n int64
			g.tell(func(r *http.Request) fate { n++; return every(n, r) })
			s.host.finish(t, "isolate", "--apply")
			s.contained(t, s.m, s.host, s.served)
		})
	}
}

// TestGoneUnderUs deletes, when the first change is made, what the plan is
// about.
func TestGoneUnderUs(t *testing.T) {
	base := newStage(t, 0, others...)
	for name, ref := range map[string]cluster.Ref{
		"service": cluster.Services.In("deployment", "fraud"), "deployment": cluster.Deployments.In("deployment", "fraud"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, g := base.again(t)
			var gone atomic.Bool
			g.tell(func(r *http.Request) fate {
				if !changes(r) || gone.Swap(true) {
					return fate{}
				}
				return fate{instead: func() {
					o, err := s.m.Get(t.Context(), ref)
					if err == nil {
						err = s.m.Delete(t.Context(), ref, o.UID())
					}
					if err != nil {
						t.Error(err)
					}
				}}
			})
			code, _, stderr := s.host.try("incident", "isolate", s.host.incident, "--kubeconfig", s.host.kubeconfig, "--apply")
			state := s.host.run(0, "incident", "show", s.host.incident)["state"]
			if left := s.endpoints(t.Context(), s.m); code == 0 && len(left) > 0 {
				t.Errorf("done, and endpoints lead to %v", left)
			}
			if contained := state == "contained"; contained != (code == 0) || code != 0 && !strings.Contains(stderr, "hint: ") {
				t.Errorf("exit code %d, state %v: %s", code, state, stderr)
			}
		})
	}
}
