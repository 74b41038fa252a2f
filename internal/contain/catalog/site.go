package catalog

import (
	"context"
	"sync"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// site knows which cluster the API is of, and who is above what a step changes
// there. It asks once.
type site struct {
	api   cluster.API
	above func(context.Context, action.Step) (action.Step, error)
	mu    sync.Mutex
	known string
}

func (w *site) name(ctx context.Context) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known != "" {
		return w.known, nil
	}
	name, err := cluster.Identify(ctx, w.api)
	w.known = name
	return name, err
}

// holds refuses a step that was planned in another cluster: what has the same
// name here is something else, and that it is not there says nothing.
func (w *site) holds(ctx context.Context, s action.Step) error {
	planned, err := cluster.SiteOf(s)
	if err != nil {
		return err
	}
	here, err := w.name(ctx)
	if err != nil {
		return err
	}
	if planned.Cluster != here {
		return fault.New(fault.Refused, "step %s was planned in the cluster %s, and this one is %s", artifact.Quote(s.ID), artifact.Quote(planned.Cluster), artifact.Quote(here)).
			WithHint("name the cluster it was planned in with --kubeconfig and --context; nothing was changed")
	}
	return nil
}

// sited is a driver that acts, and looks, in the cluster of the step only.
type sited struct {
	ClusterDriver
	site *site
}

// Execute refuses steps of other clusters.
func (d sited) Execute(ctx context.Context, s action.Step) error {
	if err := d.site.holds(ctx, s); err != nil {
		return err
	}
	return d.ClusterDriver.Execute(ctx, s)
}

// Observe refuses steps of other clusters.
func (d sited) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	if err := d.site.holds(ctx, s); err != nil {
		return action.Observation{}, err
	}
	return d.ClusterDriver.Observe(ctx, s)
}

// Escalate suspends who applies what the step changed, or what owns it.
func (d sited) Escalate(ctx context.Context, s action.Step) (action.Step, error) {
	if err := d.site.holds(ctx, s); err != nil {
		return action.Step{}, err
	}
	return d.site.above(ctx, s)
}
