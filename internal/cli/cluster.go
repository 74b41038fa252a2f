package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/assess"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/contain/catalog"
	"github.com/weightwarden/weightwarden/internal/contain/stop"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/kube"
)

// clusterFlags say which cluster workloads are in, as kubectl's do.
type clusterFlags struct{ options kube.Options }

func (c *clusterFlags) add(f *pflag.FlagSet) {
	f.StringVar(&c.options.Kubeconfig, "kubeconfig", "", "`file` that says how to reach the cluster (default $KUBECONFIG, else ~/.kube/config, else the pod's service account)")
	f.StringVar(&c.options.Context, "context", "", "`name` of the context in it")
	f.StringVarP(&c.options.Namespace, "namespace", "n", "", "`namespace` of workloads for which the configuration names none")
	f.StringVar(&c.options.As, "as", "", "`user` to act as in the cluster")
}

// asked are the flags with what the environment says where they say nothing.
func (c clusterFlags) asked(env Env) (kube.Options, error) {
	o := c.options
	o.Version = env.Version
	if o.Kubeconfig == "" && strings.Contains(env.Getenv("KUBECONFIG"), string(os.PathListSeparator)) {
		return o, usage("KUBECONFIG names several files").WithHint("name one with --kubeconfig")
	}
	o.Kubeconfig = cmp.Or(o.Kubeconfig, env.Getenv("KUBECONFIG"))
	return o, nil
}

// client prepares to talk to the cluster that the flags name.
func (c clusterFlags) client(env Env) (*kube.Client, error) {
	o, err := c.asked(env)
	if err != nil {
		return nil, err
	}
	return kube.Connect(o)
}

// connect opens the way to the cluster and makes the drivers of its workloads
// part of the session.
func (s *session) connect(f clusterFlags) error {
	client, err := f.client(s.Env)
	if err != nil {
		return err
	}
	s.cluster = client
	seen := map[string]*cluster.Scene{}
	scenes := func(ctx context.Context, m artifact.Model) (*cluster.Scene, error) {
		if scene := seen[m.ID]; scene != nil {
			return scene, nil
		}
		w, _ := s.conf.Served(m.ID)
		scene, err := s.look(ctx, w)
		seen[m.ID] = scene
		return scene, err
	}
	s.scenes = scenes
	s.clustered = catalog.Cluster(client, scenes, s.served)
	for _, d := range s.clustered {
		s.drivers = append(s.drivers, d)
	}
	return nil
}

// look finds what serves a model in the cluster.
func (s *session) look(ctx context.Context, w config.Workload) (*cluster.Scene, error) {
	selector := cluster.Selector{Model: w.Model, Namespaces: w.Namespaces, Labels: w.Labels, Sources: w.Sources}
	if len(selector.Namespaces) == 0 {
		selector.Namespaces = []string{s.cluster.Namespace}
	}
	return cluster.Find(ctx, s.cluster, selector)
}

// served says how a version of a model is served.
func (s *session) served(model, version string) (stop.Version, bool) {
	w, _ := s.conf.Served(model)
	v, ok := w.Versions[version]
	return stop.Version{
		Images: v.Images, Volume: v.Volume, URI: v.URI, Claim: v.Claim, InPlace: v.InPlace, Mounted: w.Mounted, Agents: pinned(w),
	}, ok
}

// workloads connects to the cluster when the configuration says that the model
// is served there, and reports whether it does.
func (s *session) workloads(f clusterFlags, m config.Model) (bool, error) {
	if _, ok := s.conf.Served(m.ID); !ok {
		return false, nil
	}
	return true, s.connect(f)
}

// reachable connects to the cluster when steps of the incident were taken in
// one.
func (s *session) reconnect(f clusterFlags, inc *incident.Incident) error {
	for n := range inc.Plans {
		for _, step := range inc.Plans[n].Steps {
			if s.drives(step.Driver) {
				continue
			}
			return s.connect(f)
		}
	}
	return nil
}

func (s *session) drives(name string) bool {
	return name == "record" || slices.ContainsFunc(s.drivers, func(d action.Driver) bool { return d.Name() == name })
}

// isolateWorkloads makes the steps that take a model's workloads out of
// serving, in the order of the drivers.
func (s *session) isolateWorkloads(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := s.scenes(ctx, r.Model)
	if err != nil {
		return action.Draft{}, err
	}
	if len(scene.Workloads) == 0 {
		w, _ := s.conf.Served(r.Model.ID)
		return action.Draft{}, fault.New(fault.NotFound, "no workload of the cluster serves the model %s (looked for %s in %s)", artifact.Quote(r.Model.ID),
			cluster.Equality(selected(w)), strings.Join(orNamespace(w.Namespaces, s.cluster.Namespace), ", ")).
			WithHint("say what serves it under workloads: labels, namespaces or sources")
	}
	draft := action.Draft{Observed: scene.Observed(), Remarks: scene.Remarks}
	for _, d := range s.clustered {
		part, err := d.Isolate(ctx, r)
		if err != nil {
			return action.Draft{}, err
		}
		draft.Steps = append(draft.Steps, part.Steps...)
		draft.Remarks = append(draft.Remarks, part.Remarks...)
	}
	return draft, s.preflight(ctx, draft.Steps)
}

// rollbackWorkloads makes the steps that put a verified version into the
// model's workloads: the drivers the other way round, so that requests are let
// through last.
func (s *session) rollbackWorkloads(ctx context.Context, inc *incident.Incident, r action.Request) (action.Draft, error) {
	scene, err := s.scenes(ctx, r.Model)
	if err != nil {
		return action.Draft{}, err
	}
	if len(scene.Workloads) == 0 {
		return action.Draft{}, fault.New(fault.NotFound, "no workload of the cluster serves the model %s", artifact.Quote(r.Model.ID))
	}
	r.Done = doneSteps(inc, r.Model.ID)
	draft := action.Draft{Observed: scene.Observed(), Remarks: scene.Remarks}
	for _, d := range slices.Backward(s.clustered) {
		part, err := d.Rollback(ctx, r)
		if err != nil {
			return action.Draft{}, err
		}
		draft.Steps = append(draft.Steps, part.Steps...)
		draft.Remarks = append(draft.Remarks, part.Remarks...)
	}
	return draft, s.preflight(ctx, draft.Steps)
}

// doneSteps are the steps of the model's plans that hold.
func doneSteps(inc *incident.Incident, model string) (out []action.Step) {
	for n := range inc.Plans {
		for _, step := range inc.Plans[n].Steps {
			if inc.Plans[n].Model == model && step.Status == incident.StepDone {
				out = append(out, step.Step)
			}
		}
	}
	return out
}

// preflight asks the cluster, before anybody is asked to approve, whether it
// will let this user take the steps and their inverses.
func (s *session) preflight(ctx context.Context, steps []action.Step) error {
	asked := cluster.Questions{}
	for _, step := range steps {
		for _, one := range []*action.Step{&step, step.Inverse} {
			if one == nil {
				continue
			}
			site, err := cluster.SiteOf(*one)
			if err != nil {
				return err
			}
			asked.Add(s.needs(*one), site.Namespaces)
		}
	}
	missing, err := asked.Missing(ctx, s.cluster)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return s.rehearse(ctx, steps)
	}
	return fault.New(fault.Refused, "this user may not do in the cluster what the plan needs: %s", strings.Join(missing, "; ")).
		WithHint("bind the roles that weightwarden kube rbac prints, or name another user with --context or --as; nothing was changed")
}

// rehearse asks the cluster to make each edit as a dry run: what admission or
// validation refuses is known before anybody is asked to approve. That an
// object changes just now is no refusal.
func (s *session) rehearse(ctx context.Context, steps []action.Step) error {
	for _, step := range steps {
		edit, ok := cluster.EditOf(step)
		if !ok {
			continue
		}
		switch err := edit.Dry(ctx, s.cluster); fault.KindOf(err) {
		case fault.Refused, fault.Invalid:
			return fault.New(fault.KindOf(err), "step %s (%s), tried as a dry run: %w", step.ID, step.Summary, err).
				WithHint("find out what in the cluster refuses it, then plan again; nothing was changed")
		case fault.Conflict:
		default:
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) needs(step action.Step) []cluster.Need {
	for _, d := range s.clustered {
		if d.Name() == step.Driver {
			return d.Needs()[step.Kind]
		}
	}
	return nil
}

func selected(w config.Workload) map[string]string {
	if len(w.Labels) > 0 {
		return w.Labels
	}
	return map[string]string{cluster.LabelModel: w.Model}
}

func orNamespace(names []string, other string) []string {
	if len(names) > 0 {
		return names
	}
	return []string{other}
}

// captured lists what of the cluster is evidence: what must be sealed before
// anything ends, and what is taken where it can be had, the volatile first.
func (s *session) captured(m config.Model) (must, can []assess.Source) {
	const origin = "the cluster's API"
	beside := func(name string, kind cluster.Kind) assess.Source {
		return assess.Source{Type: name, Origin: origin, Collect: func(ctx context.Context) (any, []string, error) {
			scene, err := s.scenes(ctx, m.Model)
			if err != nil {
				return nil, nil, err
			}
			return three(scene.Beside(ctx, s.cluster, kind))
		}}
	}
	must = []assess.Source{
		{Type: "workloads", Origin: origin, Collect: func(ctx context.Context) (any, []string, error) {
			scene, err := s.scenes(ctx, m.Model)
			if err == nil && len(scene.Workloads) == 0 {
				err = fmt.Errorf("no workload of the cluster serves the model")
			}
			if err != nil {
				return nil, nil, err
			}
			return scene.State(), scene.Remarks, nil
		}},
		beside("endpoint_slices", cluster.EndpointSlices),
	}
	can = []assess.Source{
		beside("events", cluster.Events),
		{Type: "container_output", Origin: origin, Files: func(ctx context.Context) ([]assess.Held, []string, error) {
			scene, err := s.scenes(ctx, m.Model)
			if err != nil {
				return nil, nil, err
			}
			var held []assess.Held
			for _, o := range scene.Outputs() {
				held = append(held, assess.Held{Name: o.String(), Origin: origin, Open: func() (io.ReadCloser, error) {
					return s.cluster.Logs(ctx, o.Namespace, o.Pod, o.Container, o.Previous)
				}})
			}
			return held, nil, nil
		}},
	}
	return must, can
}
