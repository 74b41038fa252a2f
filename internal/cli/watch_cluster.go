package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/announce"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/kube"
	"github.com/weightwarden/weightwarden/internal/metrics"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// presence is where in a cluster a watcher is, beyond what the configuration
// says, because each node has another.
type presence struct {
	clusterFlags
	node, pod string
}

func (p *presence) add(f *pflag.FlagSet) {
	p.clusterFlags.add(f)
	f.StringVar(&p.node, "node", "", "`name` of the node this runs on (default cluster.node, else $NODE_NAME)")
	f.StringVar(&p.pod, "pod-uid", "", "`UID` of the pod this is a sidecar in (default $POD_UID)")
}

// apiPatience is how long one call to the cluster's API is repeated: what
// failed is told again anyway.
const apiPatience = 5 * time.Second

// announcer is the watcher's voice in the cluster; nil without cluster.models.
// Nothing is sent yet.
func (s *session) announcer() (*announce.Announcer, error) {
	c := s.conf.Cluster
	if len(c.Models) == 0 {
		return nil, nil //nolint:nilnil // it says nothing
	}
	node := cmp.Or(s.presence.node, c.Node, s.Getenv("NODE_NAME"))
	if !verdict.ObjectName(node) {
		return nil, fault.New(fault.Invalid, "cluster: the name of this node is not known, or no name: %s", artifact.Quote(node)).
			WithHint("give --node, cluster.node or NODE_NAME; in a manifest: fieldRef spec.nodeName")
	}
	pod := cmp.Or(s.presence.pod, s.Getenv("POD_UID"))
	targets := map[string]announce.Target{}
	for _, m := range c.Models {
		if m.Place.Volume != "" && pod == "" {
			return nil, fault.New(fault.Invalid, "cluster.models: %s is in a volume of the pod, and its UID is not known", artifact.Quote(m.Model)).
				WithHint("give --pod-uid or POD_UID; in a manifest: fieldRef metadata.uid")
		}
		targets[m.Model] = announce.Target{Namespace: m.Namespace, Place: m.Place}
	}
	o, err := s.presence.asked(s.Env)
	if err != nil {
		return nil, err
	}
	o.Patience = apiPatience
	client, err := kube.Connect(o)
	if err != nil {
		return nil, err
	}
	return announce.New(client, s.key, s.db.Documents(), announce.Config{
		Node: node, Pod: pod, Version: s.Version, Namespace: cmp.Or(c.Namespace, client.Namespace), Targets: targets, Every: agent.BeatEvery,
	}), nil
}

// broadcast makes the watcher tell what it sees of the configured models.
func (s *session) broadcast(to *announce.Announcer, o *operator) *agent.Broadcast {
	if to == nil {
		return nil
	}
	paths := map[string]string{}
	for id := range to.Targets {
		m, _ := s.conf.Model(id)
		paths[id] = m.Path
	}
	return agent.NewBroadcast(to, paths, o.told.add, s.log())
}

// told counts what became of tries to tell something in the cluster.
type told struct {
	mu   sync.Mutex
	n    map[[2]string]int
	last time.Time
}

func (t *told) add(what, outcome string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[[2]string]int{}
	}
	t.n[[2]string{what, outcome}]++
	if outcome == "renewed" {
		t.last = time.Now()
	}
}

func (t *told) page(p *metrics.Page) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var samples []metrics.Sample
	for _, k := range slices.SortedFunc(maps.Keys(t.n), func(a, b [2]string) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		samples = append(samples, metrics.Sample{Labels: []string{"what", k[0], "outcome", k[1]}, Value: float64(t.n[k])})
	}
	p.Counter("weightwarden_cluster_announcements_total",
		"Tries to tell something in the cluster since the start: verdict announced (and read back) or failed, lease renewed, withheld or failed.", samples)
	p.Gauge("weightwarden_cluster_lease_timestamp_seconds", "When the sign of life in the cluster was renewed last.", metrics.One(unix(t.last)))
}

// withPresence runs do with a session that knows where in a cluster it is.
func (g *globals) withPresence(ctx context.Context, p presence, do func(*session) error) error {
	return g.with(ctx, func(s *session) error {
		s.presence = p
		return do(s)
	})
}
