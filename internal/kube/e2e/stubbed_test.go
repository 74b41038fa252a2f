package e2e_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/contain/catalog"
	"github.com/weightwarden/weightwarden/internal/contain/stop"
)

// inMemory are the scenarios as they are in a cluster in memory, where what
// controllers do is done when a call returns.
func inMemory(t *testing.T, do func(t *testing.T, s scenario, m *memory)) {
	for _, s := range scenarios() {
		if s.replicas > 100 {
			continue // its size, which is nothing here, is what it is about
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.patience = 5 * time.Second
			m := newMemory(others...)
			bind(t, m, "responder", s.namespaces...)
			do(t, s, m)
		})
	}
}

// TestScenariosInMemory is what TestScenarios does, with the program talking to
// the API of a cluster that exists in memory.
func TestScenariosInMemory(t *testing.T) {
	inMemory(t, func(t *testing.T, s scenario, m *memory) {
		s.within = 0
		s.story(t, m, newGate(t, stub{m}).kubeconfig(t, "responder"), 0)
	})
}

// TestScenariosByDrivers has the drivers alone take the steps of each
// scenario, with the cluster in memory as their API: the same plans, and the
// same ends.
func TestScenariosByDrivers(t *testing.T) {
	inMemory(t, func(t *testing.T, s scenario, m *memory) {
		s.deploy(t, m)
		h := newHost(t, "", "fraud", s.read(t, "workloads.yaml", s.namespaces[0]), 0)
		c := &crew{s: s, m: m, conf: h.settings(t), drivers: map[string]catalog.ClusterDriver{}}
		before := s.state(t, m)

		steps, remarks := c.isolate(t)
		s.golden(t, "plan.golden", planned(steps, remarks, driven))
		c.take(t, steps)
		s.golden(t, "isolated.golden", s.end(t, m, driven))
		var inverses []action.Step
		for _, step := range slices.Backward(steps) {
			if step.Inverse != nil {
				inverses = append(inverses, *step.Inverse)
			}
		}
		c.take(t, inverses)
		if d := cmp.Diff(before, s.state(t, m)); d != "" {
			t.Errorf("taken back, it is not as it was:\n%s", d)
		}

		steps, _ = c.isolate(t)
		c.take(t, steps)
		if !s.bare {
			c.take(t, c.rollback(t, steps))
		}
		s.golden(t, "end.golden", s.end(t, m, driven))
	})
}

// driven is the incident of steps that only drivers know of.
const driven = "INC-20260102-DRIVEN00"

// crew is the drivers of a cluster.
type crew struct {
	s       scenario
	m       *memory
	conf    *config.Config
	drivers map[string]catalog.ClusterDriver
}

// settings are those of the host.
func (h *host) settings(t *testing.T) *config.Config {
	t.Helper()
	conf, err := config.Load(h.config)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// list returns the drivers in their order; each look is a new one.
func (c *crew) list() []catalog.ClusterDriver {
	w, _ := c.conf.Served("fraud")
	scenes := func(ctx context.Context, m artifact.Model) (*cluster.Scene, error) {
		return cluster.Find(ctx, c.m, cluster.Selector{Model: m.ID, Namespaces: w.Namespaces, Labels: w.Labels, Sources: w.Sources})
	}
	drivers := catalog.Cluster(c.m, scenes, func(_, version string) (stop.Version, bool) {
		v, ok := w.Versions[version]
		return stop.Version{Images: v.Images, Volume: v.Volume, URI: v.URI}, ok
	})
	for _, d := range drivers {
		c.drivers[d.Name()] = d
	}
	return drivers
}

func (c *crew) isolate(t *testing.T) (steps []action.Step, remarks []string) {
	t.Helper()
	for _, d := range c.list() {
		draft, err := d.Isolate(t.Context(), action.Request{Incident: driven, Model: artifact.Model{ID: "fraud"}})
		if err != nil {
			t.Fatal(err)
		}
		steps, remarks = append(steps, draft.Steps...), append(remarks, draft.Remarks...)
	}
	return steps, remarks
}

func (c *crew) rollback(t *testing.T, done []action.Step) (steps []action.Step) {
	t.Helper()
	for _, d := range slices.Backward(c.list()) {
		draft, err := d.Rollback(t.Context(), action.Request{
			Incident: driven, Model: artifact.Model{ID: "fraud"}, Version: "fraud-v1", Installed: artifact.SHA256Of([]byte("v1")), Done: done,
		})
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, draft.Steps...)
	}
	return steps
}

// take carries out each step, twice, as after a crash, and looks.
func (c *crew) take(t *testing.T, steps []action.Step) {
	t.Helper()
	for _, step := range steps {
		d := c.drivers[step.Driver]
		if o, err := d.Observe(t.Context(), step); err != nil || o.Outcome == action.Diverged {
			t.Errorf("%s, before: %+v, %v", step.ID, o, err)
		}
		for range 2 {
			if err := d.Execute(t.Context(), step); err != nil {
				t.Errorf("%s: %v", step.ID, err)
			}
			if o, err := d.Observe(t.Context(), step); err != nil || o.Outcome != action.Done {
				t.Errorf("%s: %+v, %v", step.ID, o, err)
			}
		}
	}
	if t.Failed() {
		t.Fatal(strings.Join(c.s.namespaces, ", ") + ": steps failed")
	}
}
