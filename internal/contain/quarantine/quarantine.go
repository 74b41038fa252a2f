// Package quarantine is the containment driver that forbids detached pods to
// talk, in both directions, by a network policy under the incident's label.
// Whether the cluster's network enforces policies cannot be seen from its API.
package quarantine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Name is the driver's name in steps.
const Name = "quarantine"

// The kinds of step.
const (
	kindQuarantine = "quarantine"
	kindLift       = "lift_quarantine" // inverse
)

// Driver makes network policies. It holds no state.
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
	need := func(verb string) []cluster.Need {
		return []cluster.Need{{Role: cluster.Contain, Kind: cluster.NetworkPolicies, Verbs: []string{verb}}}
	}
	return map[string][]cluster.Need{kindQuarantine: need("create"), kindLift: need("delete")}
}

type params struct {
	cluster.Site
	Incident string      `json:"incident_id"`
	Policy   cluster.Ref `json:"policy"`
}

// Isolate plans one policy per namespace that pods are detached in.
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	scene, err := d.scenes(ctx, r.Model)
	if err != nil {
		return action.Draft{}, err
	}
	var namespaces []string
	for _, w := range scene.Workloads {
		namespaces = append(namespaces, w.Control.Ref.Namespace)
	}
	slices.Sort(namespaces)
	var draft action.Draft
	for _, ns := range slices.Compact(namespaces) {
		p := params{
			Site: cluster.Site{Cluster: scene.Cluster, Namespaces: []string{ns}}, Incident: r.Incident,
			Policy: cluster.NetworkPolicies.In(ns, "weightwarden-"+strings.ToLower(r.Incident)),
		}
		draft.Steps = append(draft.Steps, step(p))
	}
	if len(draft.Steps) > 0 {
		draft.Remarks = []string{"whether the cluster's network enforces network policies cannot be seen from its API: probe it from a node"}
	}
	return draft, nil
}

func step(p params) action.Step {
	s := action.Step{
		ID: "quarantine-" + p.Policy.Namespace, Driver: Name, Kind: kindQuarantine, Target: p.Policy.String(),
		Summary: "forbid the incident's pods to talk, in both directions",
		Post:    "the network policy is there and allows nothing", Timeout: 20, Params: cluster.Encode(p),
	}
	inverse := s
	inverse.ID, inverse.Kind = "lift-quarantine-"+p.Policy.Namespace, kindLift
	inverse.Summary, inverse.Post = "remove the network policy", "the network policy is not there"
	s.Inverse = &inverse
	return s
}

// Rollback plans nothing: evidence stays in quarantine.
func (*Driver) Rollback(context.Context, action.Request) (action.Draft, error) {
	return action.Draft{}, nil
}

func (p params) policy() cluster.Object {
	return cluster.Object{
		"metadata": map[string]any{"name": p.Policy.Object, "namespace": p.Policy.Namespace, "labels": map[string]any{cluster.LabelIncident: p.Incident}},
		"spec": map[string]any{
			"podSelector": map[string]any{"matchLabels": map[string]any{cluster.LabelIncident: p.Incident}},
			"policyTypes": []any{"Ingress", "Egress"},
		},
	}
}

// Execute makes or removes the policy.
func (d *Driver) Execute(ctx context.Context, s action.Step) error {
	p, err := cluster.Decode[params](s)
	if err != nil {
		return err
	}
	there, err := d.api.Get(ctx, p.Policy)
	absent := fault.KindOf(err) == fault.NotFound
	switch {
	case err != nil && !absent:
		return err
	case s.Kind == kindQuarantine && absent:
		_, err := d.api.Create(ctx, cluster.NetworkPolicies, p.policy(), false)
		return err
	case s.Kind == kindLift && !absent && p.ours(there):
		return d.api.Delete(ctx, p.Policy, there.UID())
	case s.Kind != kindQuarantine && s.Kind != kindLift:
		return cluster.NoSuchKind(Name, s.Kind)
	}
	return nil
}

func (p params) ours(o cluster.Object) bool { return o.Labels()[cluster.LabelIncident] == p.Incident }

// strict reports whether a policy is as it was made: it selects the incident's
// pods and allows nothing.
func (p params) strict(o cluster.Object) bool {
	v, _ := o.At("/spec/policyTypes")
	types := fmt.Sprint(v)
	return o.Texts("/spec/podSelector/matchLabels")[cluster.LabelIncident] == p.Incident && len(o.Items("/spec/podSelector/matchExpressions")) == 0 &&
		len(o.Items("/spec/ingress"))+len(o.Items("/spec/egress")) == 0 && strings.Contains(types, "Ingress") && strings.Contains(types, "Egress")
}

// Observe looks at the policy.
func (d *Driver) Observe(ctx context.Context, s action.Step) (action.Observation, error) {
	p, err := cluster.Decode[params](s)
	if err != nil {
		return action.Observation{}, err
	}
	if s.Kind != kindQuarantine && s.Kind != kindLift {
		return action.Observation{}, cluster.NoSuchKind(Name, s.Kind)
	}
	there, err := d.api.Get(ctx, p.Policy)
	absent := fault.KindOf(err) == fault.NotFound
	switch {
	case err != nil && !absent:
		return action.Observation{}, err
	case absent == (s.Kind == kindLift):
		if absent {
			return cluster.Saw(action.Done, "%s is not there", p.Policy), nil
		}
		if p.ours(there) && p.strict(there) {
			return cluster.Saw(action.Done, "%s forbids everything to the incident's pods", p.Policy), nil
		}
		return cluster.Saw(action.Diverged, "%s is there and is not as it was made", p.Policy), nil
	case absent:
		return cluster.Saw(action.NotDone, "%s is not there", p.Policy), nil
	case !p.ours(there):
		return cluster.Saw(action.Diverged, "%s belongs to %s", p.Policy, artifact.Quote(there.Labels()[cluster.LabelIncident])), nil
	}
	return cluster.Saw(action.NotDone, "%s is there", p.Policy), nil
}
