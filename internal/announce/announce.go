// Package announce makes known in a cluster what the agent of one node sees: a
// signed verdict on each model in a report of OpenReports and in the status of
// a ProtectedModel, and a lease as its sign of life, which says which of its
// verdicts still stand. What was written counts as announced when it was read
// back. It decides neither when something is said nor what was seen.
package announce

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// Memory keeps documents over restarts. A document that is not there is a
// NotFound fault.
type Memory interface {
	Put(ctx context.Context, kind, name string, doc []byte, at time.Time) error
	Get(ctx context.Context, kind, name string) (doc []byte, at time.Time, err error)
}

// Target is where a model of this node is in the cluster, and in which
// namespace it is said what was seen of it.
type Target struct {
	Namespace string
	Place     verdict.Place
}

// Config says who speaks, about what.
type Config struct {
	// Node is the one that the agent runs on; Pod the UID of the pod that it is
	// a part of, where it sees what only that has.
	Node, Pod string
	Version   string
	// Namespace is where the lease is.
	Namespace string
	// Targets are by model.
	Targets map[string]Target
	// Every is how often it renews its lease.
	Every time.Duration
}

// Announcer speaks for one agent. Its methods may be called at the same time.
type Announcer struct {
	Config
	api    cluster.API
	key    evidence.SigningKey
	memory Memory

	numbers sync.Mutex // of last
	last    uint64     // sequence; 0 before it was read

	mu      sync.Mutex // of all that follows; never held over a call
	cluster string
	stands  map[string]uint64 // by model
	said    map[string]said   // the last reports, by model
}

// said is what the last report on a model says.
type said struct {
	sight verdict.Sight
	v     verdict.Verdict
}

// New returns an announcer that has said nothing yet.
func New(api cluster.API, key evidence.SigningKey, memory Memory, c Config) *Announcer {
	return &Announcer{Config: c, api: api, key: key, memory: memory, stands: map[string]uint64{}, said: map[string]said{}}
}

// Withdraw says that the last verdict on a model does not stand any more.
// The next sign of life says so.
func (a *Announcer) Withdraw(model string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.stands, model)
}

// Announce puts a verdict on what was seen where others look for it. It is nil
// only when that was read back. Called again with the same sight, it does only
// what is not done yet. Faults are those of [cluster.API].
func (a *Announcer) Announce(ctx context.Context, s verdict.Sight) error {
	t, ok := a.Targets[s.Model]
	if !ok {
		return fault.New(fault.Invalid, "announce %s: nothing says where it is in the cluster", artifact.Quote(s.Model))
	}
	a.mu.Lock()
	before := a.said[s.Model]
	a.mu.Unlock()
	if reflect.DeepEqual(before.sight, s) {
		return a.protected(ctx, t.Namespace, before.v)
	}
	a.Withdraw(s.Model)
	v, err := a.verdict(ctx, s, t)
	if err != nil {
		return err
	}
	sealed, err := v.Seal(a.key)
	if err != nil {
		return fault.New(fault.Invalid, "announce %s: %w", artifact.Quote(s.Model), err)
	}
	if err := a.report(ctx, t.Namespace, v, sealed, s); err != nil {
		return err
	}
	a.mu.Lock()
	a.stands[s.Model], a.said[s.Model] = v.Sequence, said{s, v}
	a.mu.Unlock()
	return a.protected(ctx, t.Namespace, v)
}

func (a *Announcer) verdict(ctx context.Context, s verdict.Sight, t Target) (verdict.Verdict, error) {
	where, err := a.identify(ctx)
	if err != nil {
		return verdict.Verdict{}, err
	}
	seq, err := a.next(ctx, s.At)
	return verdict.Verdict{
		Model: s.Model, State: s.State, Root: s.Root, Baseline: s.Baseline, Path: s.Path, Place: t.Place.Whole(),
		Cluster: where, Node: a.Node, Pod: a.Pod, Agent: a.Version, At: s.At.UTC(), Sequence: seq,
	}, err
}

// identify asks once which cluster this is.
func (a *Announcer) identify(ctx context.Context) (string, error) {
	a.mu.Lock()
	known := a.cluster
	a.mu.Unlock()
	if known != "" {
		return known, nil
	}
	name, err := cluster.Identify(ctx, a.api)
	if err == nil && name == "" {
		err = fault.New(fault.Incomplete, "identify the cluster: it has no UID")
	}
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster = name
	return name, nil
}

// The document that holds the last sequence number.
const (
	memoryKind = "announce"
	memoryName = "sequence"
)

// next takes the next sequence number. It is kept before it is used: a number
// may be left out, and none is used twice.
func (a *Announcer) next(ctx context.Context, at time.Time) (uint64, error) {
	a.numbers.Lock()
	defer a.numbers.Unlock()
	if a.last == 0 {
		doc, _, err := a.memory.Get(ctx, memoryKind, memoryName)
		switch {
		case fault.KindOf(err) == fault.NotFound:
		case err != nil:
			return 0, fmt.Errorf("number of the last verdict: %w", err)
		case len(doc) != 8:
			return 0, fault.New(fault.Incomplete, "number of the last verdict: %d bytes", len(doc))
		default:
			a.last = binary.BigEndian.Uint64(doc)
		}
	}
	n := a.last + 1
	if err := a.memory.Put(ctx, memoryKind, memoryName, binary.BigEndian.AppendUint64(nil, n), at); err != nil {
		return 0, fmt.Errorf("number of the next verdict: %w", err)
	}
	a.last = n
	return n, nil
}

// Renew says that the agent is alive, and which of its verdicts stand now.
func (a *Announcer) Renew(ctx context.Context, at time.Time) error {
	where, err := a.identify(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	s := verdict.Standing{Cluster: where, Node: a.Node, Pod: a.Pod, At: at.UTC(), Verdicts: maps.Clone(a.stands)}
	a.mu.Unlock()
	sealed, err := s.Seal(a.key)
	if err != nil {
		return fault.New(fault.Invalid, "renew lease: %w", err)
	}
	stamp := s.At.Format("2006-01-02T15:04:05.000000Z07:00")
	spec := map[string]any{
		"holderIdentity": a.key.Name, "renewTime": stamp, "leaseDurationSeconds": int64(4 * a.Every / time.Second),
	}
	notes := map[string]any{cluster.NoteStanding: sealed.Text, cluster.NoteSigned: sealed.Signature}
	ref := cluster.Leases.In(a.Namespace, a.name("node", ""))
	fields := map[string]any{"/spec/renewTime": stamp, "/spec/holderIdentity": a.key.Name, "/metadata/annotations": notes}
	fresh := cluster.Object{"spec": spec, "metadata": map[string]any{"annotations": notes}}
	return a.put(ctx, ref, fresh, fields, func(o cluster.Object) bool {
		now := o.Annotations()
		return now[cluster.NoteStanding] == sealed.Text && now[cluster.NoteSigned] == sealed.Signature
	})
}

// tries is how often a change is made again that somebody else's came between.
const tries = 4

// put makes an object or changes its fields, and reads it back.
func (a *Announcer) put(ctx context.Context, ref cluster.Ref, fresh cluster.Object, fields map[string]any, there func(cluster.Object) bool) error {
	fresh["metadata"] = a.meta(ref, fresh)
	var err error
	for range tries {
		var o cluster.Object
		o, err = a.api.Get(ctx, ref)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			_, err = a.api.Create(ctx, ref.Kind, fresh, false)
		case err == nil:
			_, err = a.api.Patch(ctx, ref, replace(o, fields), false)
		}
		if fault.KindOf(err) != fault.Conflict {
			break
		}
	}
	if err != nil {
		return err
	}
	return a.readBack(ctx, ref, there)
}

func (a *Announcer) readBack(ctx context.Context, ref cluster.Ref, there func(cluster.Object) bool) error {
	o, err := a.api.Get(ctx, ref)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !there(o) {
		return fault.New(fault.Conflict, "%s is not what was written: somebody else writes to it", ref).
			WithHint("find out who: see its managed fields")
	}
	return nil
}

// replace are the operations that give an object's fields values.
func replace(o cluster.Object, fields map[string]any) []cluster.Op {
	ops := cluster.Same(o)
	for _, pointer := range slices.Sorted(maps.Keys(fields)) {
		ops = append(ops, cluster.Op{Op: "add", Path: pointer, Value: cluster.Encode(fields[pointer])})
	}
	return ops
}

func (a *Announcer) meta(ref cluster.Ref, fresh cluster.Object) map[string]any {
	v, _ := fresh.At("/metadata")
	meta, _ := v.(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["name"], meta["namespace"] = ref.Object, ref.Namespace
	meta["labels"] = map[string]any{cluster.Managed: cluster.ManagedBy}
	return meta
}

// name is that of an object about a model, or about the node. It is of this
// agent alone, so that no two write to one object.
func (a *Announcer) name(kind, model string) string {
	sum := sha256.Sum256([]byte(a.Node + "\x00" + a.Pod + "\x00" + model))
	if model != "" {
		kind = slug(model)
	}
	return "weightwarden-" + kind + "-" + hex.EncodeToString(sum[:6])
}

// slug is an id as part of an object's name.
func slug(id string) string {
	text := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, id)
	return strings.Trim(text[:min(len(text), 100)], "-")
}
