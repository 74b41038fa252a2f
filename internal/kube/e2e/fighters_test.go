package e2e_test

import (
	"context"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/cluster"
)

// fighter puts the selector of the stage's service back when the plan is done,
// and each time that it was cut again after that, as often as it may.
func (s stageInMemory) fighter(t *testing.T, may func(times int) bool) {
	done, times := false, 0
	ref := cluster.Services.In("deployment", "fraud")
	s.host.journal = func(point string) {
		done = done || point == "observed stop-deployments-deployment-fraud"
		if !done || !strings.HasPrefix(point, "observed ") || !may(times) {
			return
		}
		o, err := s.m.Get(t.Context(), ref)
		if err == nil && o.Texts("/spec/selector")[cluster.KeyServing] != "" {
			times++
			err = cluster.NewEdit(ref, o, cluster.Set(o, cluster.Pointer("spec", "selector", cluster.KeyServing), nil)).Apply(t.Context(), s.m)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// TestFighters has somebody take back what was done after it was done: it is
// put on record and done again; where that does not end it, who applies the
// object is suspended; and where nobody says who that is, it is said.
func TestFighters(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		s, _ := newStage(t, 1).again(t)
		s.fighter(t, func(times int) bool { return times < 2 })
		s.host.act(0, "isolate", "--apply")
		s.contained(t, s.m, s.host, s.served)
		if n := len(s.reverts()); n != 2 {
			t.Errorf("%d times on record that it was taken back", n)
		}
	})
	t.Run("always", func(t *testing.T) {
		t.Parallel()
		s, _ := newStage(t, 1).again(t)
		s.fighter(t, func(int) bool { return true })
		code, _, stderr := s.host.try("incident", "isolate", s.host.incident, "--kubeconfig", s.host.kubeconfig, "--apply")
		if code != 4 || !strings.Contains(stderr, "taken back 4 times by somebody else") || !strings.Contains(stderr, "incident resume") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		if state := s.host.run(0, "incident", "show", s.host.incident)["state"]; state == "contained" {
			t.Errorf("state %v although the service is not cut", state)
		}
		s.host.goOn(t, code, stderr, "isolate", s.host.incident, "--kubeconfig", s.host.kubeconfig, "--apply") // who fought has stopped
		s.contained(t, s.m, s.host, s.served)
	})
	t.Run("who_applies_is_suspended", func(t *testing.T) {
		t.Parallel()
		s, _ := newStage(t, 1, labelled).again(t)
		applier := cluster.Kustomizations.In("deployment", "apps")
		if _, err := s.m.Create(t.Context(), cluster.Kustomizations, cluster.Object{"metadata": map[string]any{"name": "apps", "namespace": "deployment"}, "spec": map[string]any{}}, false); err != nil {
			t.Fatal(err)
		}
		suspended := func() bool {
			o, err := s.m.Get(t.Context(), applier)
			return err == nil && o.Flag("/spec/suspend")
		}
		s.fighter(t, func(int) bool { return !suspended() })
		s.host.act(0, "isolate", "--apply")
		s.contained(t, s.m, s.host, s.served)
		if !suspended() || len(s.reverts()) != 4 {
			t.Errorf("suspended: %t; on record that it was taken back: %v", suspended(), s.reverts())
		}
	})
}

// reverts is what the record says of steps that somebody took back.
func (s stageInMemory) reverts() []cluster.Object {
	return cluster.Object(s.host.run(0, "incident", "show", s.host.incident)).Items("/containment_reverted")
}

// labelled has services say who applies them.
func labelled(ctx context.Context, api cluster.API) {
	list, _ := api.List(ctx, cluster.Services, "deployment", "")
	for _, o := range list {
		if len(o.Labels()) > 0 {
			continue
		}
		labels := map[string]any{"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "deployment"}
		ops := append(cluster.Same(o), cluster.Op{Op: "add", Path: "/metadata/labels", Value: cluster.Encode(labels)})
		_, _ = api.Patch(ctx, cluster.Services.In("deployment", o.ObjectName()), ops, false)
	}
}
