// Package kubernetes tells of alerts by Events of a cluster's API
// (events.k8s.io/v1), about an object that people look at when something is
// wrong with the model: kubectl describe shows them.
package kubernetes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is which object the events are about; when it is empty, the pod that
// the program is in.
type Config struct {
	Namespace string
	// Kind and Name are those of the object; a Deployment where Kind is empty.
	Kind, Name string
}

// kinds are the objects that events can be about.
var kinds = []cluster.Kind{
	cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets, cluster.Pods, cluster.Services,
	cluster.Rollouts, cluster.InferenceServices, cluster.ProtectedModels,
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return map[string]any{"namespace": &c.Namespace, "kind": &c.Kind, "object": &c.Name}
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	if *c == (Config{}) {
		return nil
	}
	list := []string{notify.Need("namespace", c.Namespace != ""), notify.Need("object", c.Name != "")}
	if _, ok := c.kind(); !ok {
		var names []string
		for _, k := range kinds {
			names = append(names, k.Name)
		}
		list = append(list, "kind: want one of "+strings.Join(names, ", "))
	}
	return notify.Problems(list...)
}

func (c *Config) kind() (cluster.Kind, bool) {
	n := slices.IndexFunc(kinds, func(k cluster.Kind) bool { return k.Name == cmp.Or(c.Kind, cluster.Deployments.Name) })
	if n < 0 {
		return cluster.Kind{}, false
	}
	return kinds[n], true
}

// Regarding is the object that the events are about; the zero value stands for
// the pod that the program is in.
func (c *Config) Regarding() cluster.Ref {
	if kind, ok := c.kind(); ok && *c != (Config{}) {
		return kind.In(c.Namespace, c.Name)
	}
	return cluster.Ref{}
}

// Open implements [notify.Config].
func (c *Config) Open(w notify.World) (notify.Transport, error) {
	s := &sender{about: c.Regarding(), host: w.Host}
	if s.about == (cluster.Ref{}) {
		s.about = cluster.Pods.In(w.Getenv("POD_NAMESPACE"), w.Getenv("POD_NAME"))
		// The agent of a whole node has no POD_UID: its verdicts are not about its pod.
		s.uid = cmp.Or(w.Getenv("WEIGHTWARDEN_POD_UID"), w.Getenv("POD_UID"))
		if s.about.Namespace == "" || s.about.Object == "" {
			return nil, errors.New("kubernetes: neither namespace and object nor the pod that this is in are known: POD_NAMESPACE and POD_NAME are not both set")
		}
	}
	if w.Cluster == nil {
		return nil, errors.New("kubernetes: there is no cluster here")
	}
	var err error
	s.api, err = w.Cluster()
	return s, err
}

type sender struct {
	about cluster.Ref
	// uid is that of the own pod; that of another object is looked up.
	uid  string
	api  cluster.API
	host string
}

// Bounds of what the API takes (events.k8s.io/v1, Event).
const (
	maxNote     = 1024
	maxInstance = 128
)

// Send makes an event whose name follows from the alert's key, and looks at it:
// a second try finds the first one's.
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	uid, err := s.identity(ctx)
	if err != nil {
		return true, fmt.Errorf("kubernetes: %w", err)
	}
	event := s.event(a, uid)
	_, err = s.api.Create(ctx, cluster.EventRecords, event, false)
	if err == nil || fault.KindOf(err) == fault.Conflict {
		var there cluster.Object
		there, err = s.api.Get(ctx, cluster.EventRecords.In(s.about.Namespace, event.ObjectName()))
		if err == nil && there.Text("/note") != event.Text("/note") {
			return false, fmt.Errorf("kubernetes: the event %s is somebody else's", event.ObjectName())
		}
	}
	if err != nil {
		// What was made and is gone again may be made anew.
		again := fault.KindOf(err) == fault.Incomplete || fault.KindOf(err) == fault.Internal
		return again, fmt.Errorf("kubernetes: %w", err)
	}
	return false, nil
}

// identity is the UID of the object, by which kubectl describe finds what is
// said about it. One that is gone, or may not be looked at, is told of without.
func (s *sender) identity(ctx context.Context) (string, error) {
	if s.uid != "" {
		return s.uid, nil
	}
	o, err := s.api.Get(ctx, s.about)
	if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Refused {
		return "", nil
	}
	return o.UID(), err
}

func (s *sender) event(a notify.Alert, uid string) cluster.Object {
	sum := sha256.Sum256([]byte(a.Key))
	regarding := map[string]any{
		"apiVersion": s.about.APIVersion(), "kind": s.about.Name, "namespace": s.about.Namespace, "name": s.about.Object,
	}
	if uid != "" {
		regarding["uid"] = uid
	}
	severity, reason := "Warning", "Alert"
	if a.Status != notify.Firing {
		severity = "Normal"
	}
	switch all := a.All(); {
	case a.Status == notify.Resolved:
		reason = "Resolved"
	case len(all) > 0:
		reason = camel(string(all[0].Type))
	}
	return cluster.Object{
		"apiVersion": cluster.EventRecords.APIVersion(), "kind": cluster.EventRecords.Name,
		"metadata": map[string]any{
			"name": "weightwarden-" + hex.EncodeToString(sum[:12]), "namespace": s.about.Namespace,
			"labels": map[string]any{cluster.Managed: cluster.ManagedBy},
		},
		"eventTime": a.At.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), "type": severity,
		"reason": reason, "action": "Watch", "regarding": regarding,
		"reportingController": "weightwarden.dev/watch", "reportingInstance": notify.Cut(cmp.Or(s.host, "unknown"), maxInstance),
		"note": note(a),
	}
}

// note is the alert in as many lines as have room, each of them harmless.
func note(a notify.Alert) string {
	lines := []string{notify.Plain(a.Line())}
	for line := range strings.SplitSeq(a.Body(), "\n") {
		if line != "" && len(lines) <= notify.Shown {
			lines = append(lines, notify.Plain(line))
		}
	}
	return notify.Cut(strings.Join(lines, "\n"), maxNote)
}

// camel makes a reason, as events have them, of the type of an indicator.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return notify.Cut(b.String(), maxInstance)
}
