package stop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/census"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// count is what must be seen of every replica before anybody is let through.
type count struct {
	cluster.Site
	Version  string     `json:"version"`
	Replicas []expected `json:"replicas"`
	// Model and Agents say whose verdicts count, about what. They are part of
	// what is approved.
	Model  string         `json:"model,omitempty"`
	Agents []census.Agent `json:"agents,omitempty"`
}

type expected struct {
	Group group `json:"group"`
	// Images are the references that pods must have, by where they stand.
	Images map[string]string `json:"images"`
	// Node says that there is one on every node, however many those are.
	Node bool `json:"one_per_node,omitempty"`
	// Mounted is where the containers have the model, or "".
	Mounted string `json:"mounted,omitempty"`
}

func censusStep(c count) action.Step {
	n := 0
	for _, e := range c.Replicas {
		n += e.Group.Replicas
	}
	return action.Step{
		ID: kindCensus, Driver: Name, Kind: kindCensus, Target: "every workload of the model",
		Summary: fmt.Sprintf("look what each of %d replicas has", n), Timeout: 300, Replicas: n,
		Post:   "every replica is ready and has the verified version, and none is missing",
		Params: cluster.Encode(c),
	}
}

// observeCensus looks at every replica. One of which it cannot be said what it
// has counts as affected.
func (d *Driver) observeCensus(ctx context.Context, s action.Step) (action.Observation, error) {
	c, err := cluster.Decode[count](s)
	if err != nil {
		return action.Observation{}, err
	}
	w, err := d.witnesses(ctx, c)
	if err != nil {
		return action.Observation{}, err
	}
	good, told := 0, 0
	for _, e := range c.Replicas {
		t, err := d.tally(ctx, e, c.Version, w)
		switch {
		case err != nil:
			return action.Observation{}, err
		case len(t.wrong) > 0:
			return cluster.Saw(action.NotDone, "%s: %s; nobody is let through", e.Group.Workload, listed(t.wrong)), nil
		}
		good, told = good+t.good, told+t.told
	}
	by := ""
	if told > 0 {
		by = fmt.Sprintf(", %d of them by the verdict of the agent on their node", told)
	}
	return cluster.Saw(action.Done, "all %d replicas are ready and have the verified version%s", good, by), nil
}

// maxNamed is how many replicas are named in one observation.
const maxNamed = 200

func listed(wrong []string) string {
	if more := len(wrong) - maxNamed; more > 0 {
		return strings.Join(wrong[:maxNamed], "; ") + fmt.Sprintf("; and %d more", more)
	}
	return strings.Join(wrong, "; ")
}

// witnesses are the agents whose verdicts count.
func (d *Driver) witnesses(ctx context.Context, c count) (census.Witnesses, error) {
	if len(c.Agents) == 0 {
		return census.Witnesses{}, nil
	}
	var namespaces []string
	for _, e := range c.Replicas {
		namespaces = append(namespaces, e.Group.Workload.Namespace)
	}
	said, err := census.Gather(ctx, d.api, namespaces)
	if err != nil {
		return census.Witnesses{}, err
	}
	return census.Hear(said, census.Question{Model: c.Model, Cluster: c.Cluster, Agents: c.Agents}, d.seen, time.Now())
}

// tally is what was seen of the replicas of one workload: how many are as they
// should be, of how many of these an agent told that, and what is wrong.
type tally struct {
	good, told int
	wrong      []string
}

// tally looks at the replicas of one workload.
func (d *Driver) tally(ctx context.Context, e expected, version string, w census.Witnesses) (t tally, err error) {
	want := e.Group.Replicas
	control, err := d.api.Get(ctx, e.Group.Workload)
	if fault.KindOf(err) == fault.NotFound {
		return tally{wrong: []string{"it is not there yet"}}, nil
	}
	if err != nil {
		return t, err
	}
	if e.Node {
		want = control.Number("/status/desiredNumberScheduled")
		if control.Number("/status/observedGeneration") < control.Number("/metadata/generation") {
			return tally{wrong: []string{"its controller has not seen the change yet"}}, nil
		}
	}
	v, _ := control.At("/spec/selector") // a controller that was made anew may select otherwise
	selector, _ := v.(map[string]any)
	pods, err := group{Workload: e.Group.Workload, UID: control.UID(), Selector: selector}.pods(ctx, d.api)
	if err != nil {
		return t, err
	}
	for _, o := range pods {
		name := artifact.Quote(o.ObjectName())
		told, why := e.judge(o, version, w)
		switch {
		case why != "":
			t.wrong = append(t.wrong, name+" "+why)
		case o.Ending() || !ready(o):
			t.wrong = append(t.wrong, name+" is not ready")
		default:
			t.good++
			if told {
				t.told++
			}
		}
	}
	if len(t.wrong) == 0 && (t.good != want || want == 0) {
		t.wrong = append(t.wrong, fmt.Sprintf("%d of %d replicas are there", t.good, want))
	}
	slices.Sort(t.wrong)
	return t, nil
}

// judge says what a pod has that is not of the version, or that it is not
// known; and whether an agent told that it has the version.
func (e expected) judge(o cluster.Object, version string, w census.Witnesses) (told bool, why string) {
	if why := e.differs(o, version); why != "" {
		return false, why
	}
	if why := census.Runs(o); why != "" {
		return false, "has not what it names: " + why
	}
	if e.Mounted == "" {
		return false, ""
	}
	switch r := w.Replica(o, e.Mounted); {
	case r.By == census.ByVolume && len(e.Images) > 0:
		return false, ""
	case r.By != census.ByVerdict:
		return false, fmt.Sprintf("is unknown (on node %s): %s", artifact.Quote(r.Node), r.Why)
	case r.Digest != version:
		return false, fmt.Sprintf("has the root digest %s and not that of the verified version, as the agent of node %s says", r.Digest, artifact.Quote(r.Node))
	}
	return true, ""
}

// differs says what a pod names that is not of the version.
func (e expected) differs(o cluster.Object, version string) string {
	if len(e.Images) == 0 && e.Mounted == "" {
		return "names no image or address by which the version could be known"
	}
	if uri := e.Images["uri"]; uri != "" { // an inference service's pods name where they fetch from
		for _, s := range cluster.Sources(cluster.Spec(o)) {
			if s.Kind == cluster.SourceURI && s.Value == uri {
				return ""
			}
		}
		return "does not fetch the verified version"
	}
	for _, at := range slices.Sorted(maps.Keys(e.Images)) {
		if have, want := cluster.Spec(o).Text(at), e.Images[at]; have != want {
			return "has " + artifact.Quote(have) + " and not the verified version"
		}
	}
	if o.Annotations()[cluster.NoteVersion] != version {
		return "was not made by the rollback"
	}
	return ""
}

func ready(o cluster.Object) bool {
	for _, c := range o.Items("/status/conditions") {
		if c.Text("/type") == "Ready" {
			return c.Text("/status") == "True"
		}
	}
	return false
}
