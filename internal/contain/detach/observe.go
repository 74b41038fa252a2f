package detach

import (
	"context"
	"fmt"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
)

// state is where the pods of a workload are.
type state struct {
	// attached are those that the workload has, held those that the incident
	// has. Pods that ended are neither.
	attached, held []cluster.Object
	// unreleased are held pods that something still controls; lost are planned
	// pods that are not there any more.
	unreleased, lost []string
	// served are held pods that an endpoint still leads to.
	served []string
	// elsewhere are planned pods with labels that nobody planned.
	elsewhere []string
}

func (d *Driver) look(ctx context.Context, p params) (state, error) {
	pods, err := d.api.List(ctx, cluster.Pods, p.Workload.Namespace, "")
	if err != nil {
		return state{}, err
	}
	slices, err := d.api.List(ctx, cluster.EndpointSlices, p.Workload.Namespace, "")
	if err != nil {
		return state{}, err
	}
	_, reached := cluster.Endpoints(slices)
	var s state
	planned := map[string]bool{}
	for _, known := range p.Pods {
		planned[known.UID] = true
	}
	for _, o := range pods {
		ours := planned[o.UID()]
		delete(planned, o.UID())
		switch {
		case cluster.Ended(o) || o.Ending():
			if ours {
				s.lost = append(s.lost, o.ObjectName())
			}
		case o.Labels()[cluster.LabelIncident] == p.Incident && o.Annotations()[cluster.NoteWorkload] == p.UID:
			s.held = append(s.held, o)
			if reached[o.UID()] {
				s.served = append(s.served, o.ObjectName())
			}
			if o.Controller() != nil {
				s.unreleased = append(s.unreleased, o.ObjectName())
			}
		case p.Selector != nil && cluster.Matches(p.Selector, o.Labels()), p.Selector == nil && ours:
			s.attached = append(s.attached, o)
		case ours:
			s.elsewhere = append(s.elsewhere, o.ObjectName())
		}
	}
	for _, known := range p.Pods {
		if planned[known.UID] {
			s.lost = append(s.lost, known.Name)
		}
	}
	return s, nil
}

// Observe looks where the pods are.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	p, err := cluster.Decode[params](s)
	if err != nil {
		return action.Observation{}, err
	}
	if s.Kind != kindDetach && s.Kind != kindAttach {
		return action.Observation{}, cluster.NoSuchKind(Name, s.Kind)
	}
	now, err := d.look(ctx, p)
	if err != nil {
		return action.Observation{}, err
	}
	lost := ""
	if len(now.lost) > 0 {
		lost = fmt.Sprintf("; %s not there any more, and what it could show is lost: %s", count(len(now.lost), "pod is", "pods are"), names(now.lost))
	}
	switch {
	case len(now.elsewhere) > 0:
		return cluster.Saw(action.Diverged, "somebody else has changed the labels of %s", names(now.elsewhere)), nil
	case s.Kind == kindDetach:
		return now.detached(p, lost), nil
	}
	return now.returned(p, lost), nil
}

func (now state) detached(p params, lost string) action.Observation {
	switch {
	case len(now.attached) > 0:
		return cluster.Saw(action.NotDone, "%s has %s, and %d are detached%s", p.Workload, count(len(now.attached), "pod", "pods"), len(now.held), lost)
	case len(now.unreleased) > 0:
		return cluster.Saw(action.NotDone, "%s still controlled by %s: %s%s", count(len(now.unreleased), "detached pod is", "detached pods are"), p.Workload, names(now.unreleased), lost)
	case len(now.served) > 0:
		return cluster.Saw(action.NotDone, "an endpoint still leads to %s, though detached%s", names(now.served), lost)
	}
	return cluster.Saw(action.Done, "%s has no pods; %s detached and running%s", p.Workload, count(len(now.held), "pod is", "pods are"), lost)
}

func (now state) returned(p params, lost string) action.Observation {
	if len(now.held) > 0 {
		return cluster.Saw(action.NotDone, "%s detached from %s%s", count(len(now.held), "pod is", "pods are"), p.Workload, lost)
	}
	if p.Selector != nil {
		for _, o := range now.attached {
			if o.Controller() == nil {
				return cluster.Saw(action.NotDone, "%s has its labels back and is not yet controlled by %s%s", artifact.Quote(o.ObjectName()), p.Workload, lost)
			}
		}
	}
	return cluster.Saw(action.Done, "%s of %s attached again%s", count(len(now.attached), "pod", "pods"), p.Workload, lost)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func names(list []string) string {
	const most = 5
	quoted := make([]string, 0, most)
	for n, name := range list {
		if n == most {
			return strings.Join(quoted, ", ") + fmt.Sprintf(" and %d more", len(list)-most)
		}
		quoted = append(quoted, artifact.Quote(name))
	}
	return strings.Join(quoted, ", ")
}
