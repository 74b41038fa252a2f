// Package denypolicy is the containment driver that keeps a bad version from
// being started again: a ValidatingAdmissionPolicy, with the references written
// into it, that refuses pods when they are created. It has no server that must
// be alive, never looks at changes of what runs, and is relied on only after
// the API has refused a trial.
package denypolicy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Name is the driver's name in steps.
const Name = "denypolicy"

// The kinds of step.
const (
	kindDeny  = "deny_pods"
	kindAllow = "allow_pods" // inverse of deny
)

// prefix begins the names of all policies of this driver.
const prefix = "weightwarden-"

// Driver denies. It holds no state.
type Driver struct {
	api    cluster.API
	scenes cluster.Scenes
}

// New returns the driver over a cluster.
func New(api cluster.API, scenes cluster.Scenes) *Driver { return &Driver{api, scenes} }

// Name returns [Name].
func (*Driver) Name() string { return Name }

// Needs says what each kind of step has to be allowed to do.
func (*Driver) Needs() map[string][]cluster.Need {
	objects := func(verbs ...string) []cluster.Need {
		return []cluster.Need{
			{Role: cluster.Platform, Kind: cluster.AdmissionPolicies, Verbs: verbs},
			{Role: cluster.Platform, Kind: cluster.AdmissionBindings, Verbs: verbs},
			// for the trial, which is a dry run
			{Role: cluster.Platform, Kind: cluster.Pods, Verbs: []string{"create"}},
		}
	}
	return map[string][]cluster.Need{kindDeny: objects("get", "create"), kindAllow: objects("get", "delete")}
}

type params struct {
	cluster.Site
	Policy   string `json:"policy"`
	Incident string `json:"incident_id"`
	Rule     Rule   `json:"rule"`
	// Trial is a pod that the rule must refuse.
	Trial cluster.Object `json:"trial"`
}

// Isolate plans one policy for all workloads of the model.
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil || len(scene.Workloads) == 0 {
		return action.Draft{}, err
	}
	rule := NewRule(scene)
	if err := rule.check(); err != nil {
		return action.Draft{}, err
	}
	w := scene.Workloads[0]
	p := params{
		Site:   cluster.Site{Cluster: scene.Cluster, Namespaces: []string{w.Control.Ref.Namespace}},
		Policy: prefix + strings.ToLower(r.Incident) + "-" + short(r.Model.ID), Incident: r.Incident, Rule: rule, Trial: trial(w),
	}
	target := cluster.AdmissionPolicies.In("", p.Policy).String()
	step := action.Step{
		ID: kindDeny, Driver: Name, Kind: kindDeny, Target: target,
		Summary: "refuse new pods of the bad version (" + rule.String() + "); nothing that runs is touched",
		Post:    "the API refuses such a pod, naming this policy", Guards: true, Timeout: 30, Params: cluster.Encode(p),
	}
	inverse := step
	inverse.ID, inverse.Kind, inverse.Guards = kindAllow, kindAllow, false
	inverse.Summary, inverse.Post = "let such pods be made again", "the policy is not there"
	step.Inverse = &inverse
	return action.Draft{Steps: []action.Step{step}, Remarks: rule.remarks()}, nil
}

// short makes an id part of an object's name.
func short(id string) string { return artifact.SHA256Of([]byte(id)).Hex()[:8] }

// Rollback plans nothing: a bad version stays denied.
func (*Driver) Rollback(context.Context, action.Request) (action.Draft, error) {
	return action.Draft{}, nil
}

// trial is a pod as the workload's controller would make it.
func trial(w cluster.Workload) cluster.Object {
	template := w.Template()
	labels, notes := map[string]any{}, map[string]any{}
	for k, v := range template.Labels() {
		labels[k] = v
	}
	for k, v := range template.Annotations() {
		notes[k] = v
	}
	spec := maps.Clone(w.Spec())
	delete(spec, "nodeName") // a pod that was scheduled, when the workload is a pod
	if w.Kind() == cluster.Pods.Name {
		if former := cluster.FormerLabels(w.Control.Object); len(former) > 0 {
			labels = map[string]any{}
			for k, v := range former {
				labels[k] = v
			}
		}
	}
	return cluster.Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "weightwarden-trial", "namespace": w.Control.Ref.Namespace, "labels": labels, "annotations": notes},
		"spec":     map[string]any(spec),
	}
}

// Execute makes the policy and its binding, or removes both, and waits until
// the API acts by it.
func (d *Driver) Execute(ctx context.Context, s action.Step) error {
	p, err := cluster.Decode[params](s)
	if err != nil {
		return err
	}
	policy, binding := cluster.AdmissionPolicies.In("", p.Policy), cluster.AdmissionBindings.In("", p.Policy)
	switch s.Kind {
	case kindDeny:
		err = d.make(ctx, policy, p.policy(), p)
		if err == nil {
			err = d.make(ctx, binding, p.binding(), p)
		}
	case kindAllow:
		err = d.remove(ctx, binding, p)
		if err == nil {
			err = d.remove(ctx, policy, p)
		}
	default:
		err = cluster.NoSuchKind(Name, s.Kind)
	}
	if err != nil {
		return err
	}
	return cluster.Await(ctx, s, func(ctx context.Context) (action.Observation, error) { return d.Observe(ctx, s) })
}

func (d *Driver) make(ctx context.Context, ref cluster.Ref, o cluster.Object, p params) error {
	there, err := d.api.Get(ctx, ref)
	switch {
	case err == nil:
		return d.ours(ref, there, p)
	case fault.KindOf(err) != fault.NotFound:
		return err
	}
	_, err = d.api.Create(ctx, ref.Kind, o, false)
	if fault.KindOf(err) == fault.Conflict { // an answer that was lost
		if there, err := d.api.Get(ctx, ref); err == nil {
			return d.ours(ref, there, p)
		}
	}
	return err
}

func (d *Driver) ours(ref cluster.Ref, o cluster.Object, p params) error {
	if by := o.Labels()[cluster.LabelIncident]; by != p.Incident {
		return fault.New(fault.Conflict, "%s is there already and belongs to %s", ref, artifact.Quote(by))
	}
	return nil
}

func (d *Driver) remove(ctx context.Context, ref cluster.Ref, p params) error {
	there, err := d.api.Get(ctx, ref)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err == nil {
		err = d.ours(ref, there, p)
	}
	if err == nil {
		err = d.api.Delete(ctx, ref, there.UID())
	}
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// Observe tries: what counts is whether the API refuses the pod, and by which
// policy.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	p, err := cluster.Decode[params](s)
	if err != nil {
		return action.Observation{}, err
	}
	if s.Kind != kindDeny && s.Kind != kindAllow {
		return action.Observation{}, cluster.NoSuchKind(Name, s.Kind)
	}
	there, err := d.there(ctx, p)
	switch {
	case err != nil:
		return action.Observation{}, err
	case s.Kind == kindAllow && there == 0:
		return cluster.Saw(action.Done, "there is no policy %s", p.Policy), nil
	case s.Kind == kindAllow:
		return cluster.Saw(action.NotDone, "the policy %s or its binding is there", p.Policy), nil
	case there < 2:
		return cluster.Saw(action.NotDone, "the policy %s or its binding is not there", p.Policy), nil
	}
	return d.try(ctx, p)
}

// there counts the policy and its binding.
func (d *Driver) there(ctx context.Context, p params) (n int, err error) {
	for _, kind := range []cluster.Kind{cluster.AdmissionPolicies, cluster.AdmissionBindings} {
		switch _, err := d.api.Get(ctx, kind.In("", p.Policy)); {
		case err == nil:
			n++
		case fault.KindOf(err) != fault.NotFound:
			return n, err
		}
	}
	return n, nil
}

func (d *Driver) try(ctx context.Context, p params) (action.Observation, error) {
	_, err := d.api.Create(ctx, cluster.Pods, p.Trial, true)
	switch {
	case err == nil:
		return cluster.Saw(action.NotDone, "the API accepts a pod of the bad version: the policy is not in force"), nil
	case strings.Contains(err.Error(), "'"+p.Policy+"'"):
		return cluster.Saw(action.Done, "the API refuses a pod of the bad version by the policy %s", p.Policy), nil
	case strings.Contains(err.Error(), "'"+prefix):
		return d.beside(ctx, p)
	case slices.Contains([]fault.Kind{fault.Refused, fault.Invalid}, fault.KindOf(err)):
		return cluster.Saw(action.NotDone, "the API refuses the trial for another reason, which proves nothing: %v", err), nil
	}
	return action.Observation{}, err
}

// beside proves the policy where one of another incident refuses the same pod
// already: the API names only the first that refuses. A pod that nothing but
// this policy knows shows whether it is in force, and with it all that it says.
func (d *Driver) beside(ctx context.Context, p params) (action.Observation, error) {
	_, err := d.api.Create(ctx, cluster.Pods, cluster.Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": "weightwarden-trial", "namespace": p.Trial.Namespace(), "annotations": map[string]any{cluster.NoteTrial: p.Incident},
		},
		"spec": probe(),
	}, true)
	switch {
	case err == nil:
		return cluster.Saw(action.NotDone, "the API refuses a pod of the bad version by the policy of another incident; this one is not yet in force"), nil
	case strings.Contains(err.Error(), "'"+p.Policy+"'"):
		return cluster.Saw(action.Done, "the API refuses a pod of the bad version by the policy of another incident, and %s is in force as well", p.Policy), nil
	case slices.Contains([]fault.Kind{fault.Refused, fault.Invalid}, fault.KindOf(err)):
		return cluster.Saw(action.NotDone, "the API refuses the trial for another reason, which proves nothing: %v", err), nil
	}
	return action.Observation{}, err
}

// probe is what the smallest pod has that no security standard forbids.
func probe() map[string]any {
	return map[string]any{
		"securityContext": map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers": []any{map[string]any{
			"name": "trial", "image": "weightwarden.invalid/trial",
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}},
		}},
	}
}
