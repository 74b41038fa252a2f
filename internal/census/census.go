// Package census says of each replica of a workload what it really has: by the
// verdict of the agent on its node where one can be relied on, else by the
// digests that its pod names. What agents say stands where others can write, so
// nothing of it counts that is not signed by a pinned key, of this cluster and
// node, about what the replica has mounted, and standing now. What cannot be
// told is unknown.
package census

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// Agent is a pinned key: that of the agent of a node, or of whichever node it
// names where Node is "".
type Agent struct {
	Node string `json:"node,omitempty"`
	// Key is in the vkey form of C2SP signed-note.
	Key string `json:"key"`
}

// How old what agents say may be: a sign of life, and a verdict that it says
// still stands. Agents give the one every 15 seconds and the other every hour.
const (
	MaxStanding = 2 * time.Minute
	MaxVerdict  = 2*time.Hour + 10*time.Minute
	// maxAhead is how far their clocks may be ahead of ours.
	maxAhead = time.Minute
)

// maxStatements bounds what is looked at of each kind: anybody who may write
// reports can write many.
const maxStatements = 20_000

// Said is what stands in a cluster's API, believed by nobody yet.
type Said struct {
	verdicts, standings []verdict.Sealed
}

// Gather lists what agents say about models in the namespaces. Kinds that the
// cluster has not are no error: then nobody says anything.
func Gather(ctx context.Context, api cluster.API, namespaces []string) (Said, error) {
	var said Said
	for _, ns := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		list, err := listed(ctx, api, cluster.Reports, ns)
		if err != nil {
			return Said{}, err
		}
		for _, o := range list {
			for _, r := range o.Items("/results") {
				if r.Text("/rule") == cluster.RuleOnSeen && len(said.verdicts) < maxStatements {
					said.verdicts = append(said.verdicts, verdict.Sealed{
						Text: r.Text("/properties/" + cluster.NoteVerdict), Signature: r.Text("/properties/" + cluster.NoteSignature),
					})
				}
			}
		}
	}
	if len(said.verdicts) == 0 {
		return said, nil
	}
	list, err := listed(ctx, api, cluster.Leases, "")
	for _, o := range list {
		notes := o.Annotations()
		if notes[cluster.NoteStanding] != "" && len(said.standings) < maxStatements {
			said.standings = append(said.standings, verdict.Sealed{Text: notes[cluster.NoteStanding], Signature: notes[cluster.NoteSigned]})
		}
	}
	return said, err
}

func listed(ctx context.Context, api cluster.API, kind cluster.Kind, namespace string) ([]cluster.Object, error) {
	list, err := api.List(ctx, kind, namespace, cluster.Managed+"="+cluster.ManagedBy)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	return list, err
}

// Seen remembers the highest numbers that a responder saw, so that what was
// taken back to is noticed.
type Seen struct {
	mu   sync.Mutex
	last map[string]uint64
}

// raise notes a number and returns the highest so far.
func (s *Seen) raise(who string, n uint64) uint64 {
	if s == nil {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[string]uint64{}
	}
	s.last[who] = max(s.last[who], n)
	return s.last[who]
}

// Question is which model is asked about, where, and whom to believe.
type Question struct {
	Model   string
	Cluster string
	Agents  []Agent
}

// testimony is a verdict of a pinned key of this cluster, with what its agent
// said last of whether it stands.
type testimony struct {
	v        verdict.Verdict
	standing verdict.Standing
	// doubt is why it does not count, or "".
	doubt string
}

// Witnesses is what can be relied on of what was said.
type Witnesses struct {
	all []testimony
	// strangers counts verdicts on the model that no pinned key signed for the
	// node that they name, by that node.
	strangers map[string]int
	pinned    int
}

// Hear takes what was said apart into what counts and what does not.
func Hear(said Said, q Question, seen *Seen, now time.Time) (Witnesses, error) {
	w := Witnesses{strangers: map[string]int{}, pinned: len(q.Agents)}
	keys, err := pinned(q.Agents)
	if err != nil {
		return w, err
	}
	standings := map[string]verdict.Standing{} // the newest, by who
	for _, s := range said.standings {
		claimed, err := verdict.ParseStanding(s.Text)
		if err != nil || claimed.Cluster != q.Cluster {
			continue
		}
		for _, k := range keys.of(claimed.Node) {
			st, err := verdict.OpenStanding(s, k.key)
			if err != nil {
				continue
			}
			if who := k.who(st.Node, st.Pod); !standings[who].At.After(st.At) {
				standings[who] = st
			}
		}
	}
	latest := map[string]testimony{} // the highest number, by who
	for _, s := range said.verdicts {
		claimed, err := verdict.Parse(s.Text)
		if err != nil || claimed.Model != q.Model || claimed.Cluster != q.Cluster {
			continue
		}
		v, k, ok := open(s, keys.of(claimed.Node))
		if !ok {
			w.strangers[claimed.Node]++
			continue
		}
		who := k.who(v.Node, v.Pod)
		st := standings[who]
		highest := seen.raise(who+"\x00"+v.Model, max(v.Sequence, st.Verdicts[v.Model]))
		t := testimony{v: v, standing: st, doubt: doubtOf(v, st, highest, now)}
		if before, known := latest[who]; !known || before.v.Sequence < v.Sequence {
			latest[who] = t
		}
	}
	for _, t := range latest {
		w.all = append(w.all, t)
	}
	slices.SortFunc(w.all, func(a, b testimony) int {
		return cmp.Or(cmp.Compare(a.v.Node, b.v.Node), cmp.Compare(a.v.Pod, b.v.Pod), cmp.Compare(a.v.Sequence, b.v.Sequence))
	})
	return w, nil
}

// doubtOf says why a verdict does not count.
func doubtOf(v verdict.Verdict, st verdict.Standing, highest uint64, now time.Time) string {
	switch stands := st.Verdicts[v.Model]; {
	case v.Sequence < highest:
		return fmt.Sprintf("verdict %d of its agent stands in its report, and there was a later one, %d", v.Sequence, highest)
	case st.At.IsZero():
		return "its agent gives no sign of life"
	case now.Sub(st.At) > MaxStanding:
		return fmt.Sprintf("its agent gave no sign of life for %s", now.Sub(st.At).Round(time.Second))
	case st.At.Sub(now) > maxAhead || v.At.Sub(now) > maxAhead:
		return "its agent speaks from the future"
	case now.Sub(v.At) > MaxVerdict:
		return fmt.Sprintf("the verdict of its agent is %s old", now.Sub(v.At).Round(time.Second))
	case stands != v.Sequence:
		return "its agent has not said that its verdict still stands"
	}
	return ""
}

type pinnedKey struct {
	node string
	key  evidence.VerifierKey
}

// keyring holds pinned keys by node.
type keyring map[string][]pinnedKey

// of returns the keys that may speak for a node: a signature is looked at only
// with these, so that many keys and many forged reports cost little.
func (r keyring) of(node string) []pinnedKey {
	if len(r[""]) == 0 {
		return r[node]
	}
	return append(slices.Clone(r[node]), r[""]...)
}

func pinned(agents []Agent) (keyring, error) {
	out := keyring{}
	for _, a := range agents {
		key, err := evidence.ParseVerifierKey(a.Key)
		if err != nil {
			return nil, fault.New(fault.Invalid, "key of the agent of %s: %w", artifact.Quote(a.Node), err)
		}
		out[a.Node] = append(out[a.Node], pinnedKey{a.Node, key})
	}
	return out, nil
}

func (k pinnedKey) who(node, pod string) string { return k.key.String() + "\x00" + node + "\x00" + pod }

func open(s verdict.Sealed, keys []pinnedKey) (verdict.Verdict, pinnedKey, bool) {
	for _, k := range keys {
		if v, err := verdict.Open(s, k.key); err == nil {
			return v, k, true
		}
	}
	return verdict.Verdict{}, pinnedKey{}, false
}
