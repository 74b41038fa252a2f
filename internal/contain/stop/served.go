package stop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/census"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// served is what nobody may be served from any more: where the isolated pods
// had the model. Others may have it mounted as well.
type served struct {
	cluster.Site
	Model  string          `json:"model"`
	Places []verdict.Place `json:"places"`
	Agents []census.Agent  `json:"agents,omitempty"`
}

// servedStep makes the step that looks who else serves the model from the
// places that the workloads' pods have it in; false when these are not known,
// or have digests of their own, which are denied by name.
func (d *Driver) servedStep(scene *cluster.Scene, model string) (action.Step, bool) {
	if d.versions == nil {
		return action.Step{}, false
	}
	v, _ := d.versions(model, "")
	if v.Mounted == "" {
		return action.Step{}, false
	}
	p := served{Site: cluster.Site{Cluster: scene.Cluster}, Model: model, Agents: v.Agents}
	for _, w := range scene.Workloads {
		for _, pod := range w.Pods {
			m, why := cluster.MountAt(pod.Namespace(), pod, v.Mounted)
			if why == "" && !m.Image && m.Place.Volume == "" && !slices.Contains(p.Places, m.Place) {
				p.Places = append(p.Places, m.Place)
			}
		}
		if ns := w.Control.Ref.Namespace; !slices.Contains(p.Namespaces, ns) {
			p.Namespaces = append(p.Namespaces, ns)
		}
	}
	if len(p.Places) == 0 {
		return action.Step{}, false
	}
	slices.SortFunc(p.Places, func(a, b verdict.Place) int { return strings.Compare(a.String(), b.String()) })
	slices.Sort(p.Namespaces)
	return action.Step{
		ID: kindServed, Driver: Name, Kind: kindServed, Target: "every service of the namespaces", Timeout: 30,
		Summary: "look whether others serve the model from where it lies",
		Post:    "no endpoint leads to a pod that has it, but for those of which an agent says that theirs is the one of the baseline",
		Params:  cluster.Encode(p),
	}, true
}

// observeServed looks whom endpoints lead to. A pod that has one of the places
// and of which it cannot be told that what is there is good counts as affected.
func (d *Driver) observeServed(ctx context.Context, s action.Step) (action.Observation, error) {
	p, err := cluster.Decode[served](s)
	if err != nil {
		return action.Observation{}, err
	}
	w := census.Witnesses{}
	if len(p.Agents) > 0 {
		said, err := census.Gather(ctx, d.api, p.Namespaces)
		if err == nil {
			w, err = census.Hear(said, census.Question{Model: p.Model, Cluster: p.Cluster, Agents: p.Agents}, d.seen, time.Now())
		}
		if err != nil {
			return action.Observation{}, err
		}
	}
	var wrong []string
	for _, ns := range p.Namespaces {
		list, err := d.servedIn(ctx, ns, p.Places, w)
		if err != nil {
			return action.Observation{}, err
		}
		wrong = append(wrong, list...)
	}
	if len(wrong) > 0 {
		return cluster.Saw(action.NotDone, "requests still lead to pods that have the model: %s", listed(wrong)), nil
	}
	return cluster.Saw(action.Done, "no request leads to a pod that has the model, or that is not known to be good"), nil
}

// servedIn names the pods of one namespace that serve from one of the places.
func (d *Driver) servedIn(ctx context.Context, ns string, places []verdict.Place, w census.Witnesses) (wrong []string, err error) {
	endpoints, err := d.api.List(ctx, cluster.EndpointSlices, ns, "")
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	n, reached := cluster.Endpoints(endpoints)
	if n == 0 {
		return nil, nil
	}
	pods, err := d.api.List(ctx, cluster.Pods, ns, "")
	if err != nil {
		return nil, err
	}
	for _, o := range pods {
		if !reached[o.UID()] {
			continue
		}
		for _, place := range places {
			if !cluster.Has(o, place) {
				continue
			}
			switch r := w.At(o, place); {
			case r.By == census.ByVerdict && r.State == verdict.Trusted:
			case r.By == census.ByVerdict:
				wrong = append(wrong, fmt.Sprintf("%s (the agent of node %s says: %s)", artifact.Quote(o.ObjectName()), artifact.Quote(r.Node), r.State))
			default:
				wrong = append(wrong, fmt.Sprintf("%s (unknown: %s)", artifact.Quote(o.ObjectName()), r.Why))
			}
		}
	}
	return wrong, nil
}
