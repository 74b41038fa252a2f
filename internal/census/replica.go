package census

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// By is what it is known by which content a replica has.
type By string

// The kinds of evidence.
const (
	ByVerdict By = "verdict" // of the agent on its node
	ByImage   By = "image"   // the digest of the image that it runs
	ByVolume  By = "volume"  // the digest of the image that it has mounted
	ByNothing By = "nothing"
)

// Replica is what is known of one pod.
type Replica struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
	Node      string `json:"node"`
	// Incident is the one that holds it as evidence, or "".
	Incident string `json:"incident_id,omitempty"`
	// Digest is the root digest of the model by a verdict, else that of an
	// image; "" is unknown.
	Digest string `json:"digest"`
	By     By     `json:"evidence"`
	// State is what the agent says of the model.
	State verdict.State `json:"state,omitempty"`
	// LookedAt is when the agent looked, StoodAt when it said last that what
	// it saw is still so.
	LookedAt time.Time `json:"looked_at,omitzero"`
	StoodAt  time.Time `json:"stood_at,omitzero"`
	// Why says why it is not known.
	Why string `json:"why,omitempty"`
}

// Compare orders replicas by where they are.
func (r Replica) Compare(o Replica) int {
	return cmp.Or(cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Pod, o.Pod), cmp.Compare(r.UID, o.UID))
}

// Known reports whether it is known what the replica has.
func (r Replica) Known() bool { return r.By != ByNothing }

func replicaOf(pod cluster.Object) Replica {
	return Replica{
		Namespace: pod.Namespace(), Pod: pod.ObjectName(), UID: pod.UID(), Node: pod.Text("/spec/nodeName"),
		Incident: pod.Labels()[cluster.LabelIncident], By: ByNothing,
	}
}

// Replica says what a pod has at the path; without a path, by what it names
// alone.
func (w Witnesses) Replica(pod cluster.Object, mounted string) Replica {
	r := replicaOf(pod)
	if mounted == "" {
		r.named(pod)
		return r
	}
	m, why := cluster.MountAt(pod.Namespace(), pod, mounted)
	switch {
	case why != "":
		r.Why = fmt.Sprintf("what it has at %s is not known: %s", artifact.Quote(mounted), why)
	case m.Image:
		r.image(m, pod)
	default:
		w.heard(&r, pod, m.Place)
	}
	return r
}

// At says what a pod has at a place of the cluster that it has mounted.
func (w Witnesses) At(pod cluster.Object, place verdict.Place) Replica {
	r := replicaOf(pod)
	w.heard(&r, pod, place)
	return r
}

// heard fills in what the agent on the pod's node says about the place.
func (w Witnesses) heard(r *Replica, pod cluster.Object, place verdict.Place) {
	switch {
	case r.Node == "":
		r.Why = "it is on no node yet"
		return
	case w.pinned == 0:
		r.Why = "no agent's key is configured, and " + place.String() + " has no digest"
		return
	}
	r.Why = fmt.Sprintf("no agent of node %s reports on %s", r.Node, place)
	if n := w.strangers[r.Node]; n > 0 {
		r.Why += fmt.Sprintf("; %d reports about that node are signed by no key that is configured for it", n)
	}
	for _, t := range w.all {
		if t.v.Node != r.Node || t.v.Place.Whole() != place || t.v.Pod != "" && t.v.Pod != r.UID {
			continue
		}
		if why := t.against(pod); why != "" {
			r.Why = why
			continue
		}
		if r.By == ByVerdict && (r.Digest != t.v.Root || r.State != t.v.State) {
			r.By, r.Digest, r.State, r.Why = ByNothing, "", "", "two agents of its node say different things"
			return
		}
		r.By, r.Digest, r.State, r.LookedAt, r.StoodAt, r.Why = ByVerdict, t.v.Root, t.v.State, t.v.At, t.standing.At, ""
	}
}

// against says why a verdict about a place does not tell what a pod has there.
func (t testimony) against(pod cluster.Object) string {
	started, err := time.Parse(time.RFC3339, pod.Text("/status/startTime"))
	switch {
	case t.doubt != "":
		return t.doubt
	case t.v.State == verdict.Unreadable:
		return "its agent could not look at all of the model"
	case err != nil:
		return "it has not started yet"
	case t.standing.At.Before(started.Add(time.Second)): // it is told in whole seconds
		return "its agent has not said anything since it started"
	}
	return ""
}

// image fills in the digest of a mounted image.
func (r *Replica) image(m cluster.Mount, pod cluster.Object) {
	ref := cluster.Spec(pod).Text(m.Volume + "/image/reference")
	if digest := cluster.Digest(ref); digest != "" {
		r.By, r.Digest = ByVolume, digest
		return
	}
	r.Why = fmt.Sprintf("the image %s is named by no digest", artifact.Quote(ref))
}

// named fills in the digests that the pod names, where every container has
// one, and runs what it names.
func (r *Replica) named(pod cluster.Object) {
	var digests []string
	by := ByImage
	for _, s := range cluster.Sources(cluster.Spec(pod)) {
		digest := cluster.Digest(s.Value)
		switch {
		case s.Kind == cluster.SourceVolume && digest != "":
			by, digests = ByVolume, []string{digest}
		case s.Kind == cluster.SourceImage && by == ByImage && strings.HasPrefix(s.Path, "/containers/"):
			digests = append(digests, digest)
		}
	}
	if slices.Contains(digests, "") {
		r.Why = "it names an image by no digest"
		return
	}
	if why := Runs(pod); why != "" {
		r.Why = why
		return
	}
	if len(digests) == 0 {
		r.Why = "it names nothing by a digest"
		return
	}
	r.By, r.Digest = by, strings.Join(digests, " ")
}

// Runs compares what the containers of a pod run, as their node says, with the
// digests that the pod names, and says what is different. A container that the
// node says nothing about is not ready and counts as nothing.
func Runs(pod cluster.Object) string {
	want := map[string]string{}
	for _, c := range cluster.Spec(pod).Items("/containers") {
		want[c.Text("/name")] = cluster.Digest(c.Text("/image"))
	}
	for _, c := range pod.Items("/status/containerStatuses") {
		name := c.Text("/name")
		if have := cluster.Digest(c.Text("/imageID")); want[name] != "" && have != "" && have != want[name] {
			return fmt.Sprintf("its container %s runs the image %s and not %s", artifact.Quote(name), have, want[name])
		}
	}
	return ""
}
