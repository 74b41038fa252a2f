package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// VerdictLog is the name of the log of verdicts in the host's ledger.
const VerdictLog = "watch"

// The kinds of entry in it.
const (
	KindVerdict = "verdict_given"   // Verdict
	KindSame    = "verdicts_stayed" // Stayed
)

// Verdict is what a look at a model came to, where that is another than the
// look before came to.
type Verdict struct {
	Model   string        `json:"model"`
	Verdict check.Verdict `json:"verdict"`
	Root    string        `json:"root_digest,omitempty"`
	// Baseline is the root digest it was compared with.
	Baseline string       `json:"baseline,omitempty"`
	Method   check.Method `json:"method,omitempty"`
	// New and Gone are the ids of indicators that were not there in the verdict
	// before, and that were. Omitted counts those of both beyond the first few.
	New     []string `json:"new"`
	Gone    []string `json:"gone"`
	Omitted int      `json:"omitted,omitempty"`
	// Count is how many there are now, Digest is over all of them.
	Count  int       `json:"count"`
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
}

// Stayed says that cycles came to the verdicts that stand before it in the log.
type Stayed struct {
	Cycles int       `json:"cycles"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Models int       `json:"models"`
	// Verdicts counts the models by verdict.
	Verdicts map[check.Verdict]int `json:"verdicts"`
	// Digest is over the digests of the models' verdicts, by model.
	Digest string `json:"digest"`
}

// maxListed is how many indicators an entry spells out of those that came, and
// of those that went.
const maxListed = 1024

// foldEvery is how long equal verdicts are counted before that is recorded.
const foldEvery = time.Hour

// Record keeps every verdict in a log: each that differs from the one before at
// once, and of the cycles that came to the same how many there were, once an
// hour. A nil Record keeps nothing.
type Record struct {
	Ledger evidence.Ledger
	Actor  string

	known  map[string]standing // by model; nil before the log was read
	stayed Stayed
}

// standing is the verdict that stands.
type standing struct {
	digest string
	ids    []string // sorted
}

// load takes over what the log says.
func (r *Record) load(ctx context.Context) error {
	if r.known != nil {
		return nil
	}
	entries, err := r.Ledger.Entries(ctx, VerdictLog, 1)
	if err != nil {
		return fmt.Errorf("read the log of verdicts: %w", err)
	}
	known := map[string]standing{}
	for _, e := range entries {
		var v Verdict
		var s Stayed
		var err error
		switch e.Kind {
		case KindVerdict:
			err = e.Decode(&v)
			known[v.Model] = standing{v.Digest, without(sorted(append(known[v.Model].ids, v.New...)), v.Gone)}
		case KindSame:
			if err = e.Decode(&s); !r.stayed.To.After(s.To) {
				r.stayed = Stayed{} // it was written down before the end
			}
		}
		if err != nil {
			return fmt.Errorf("read the log of verdicts: entry %d: %w", e.Seq, err)
		}
	}
	r.known = known
	return nil
}

// Take counts cycles that an earlier process had not recorded yet when it
// ended, as its sign of life says.
func (r *Record) Take(s Stayed) {
	if r != nil && s.Cycles > 0 {
		r.stayed = s
	}
}

// verdicts records what a look came to, and says whether that was anything new.
func (r *Record) verdicts(ctx context.Context, report *check.Report, l look) (written bool, err error) {
	if r == nil {
		return false, nil
	}
	if err := r.load(ctx); err != nil {
		return false, err
	}
	var drafts []evidence.Draft
	fresh := map[string]standing{}
	for _, m := range report.Models {
		if l.stale[m.ID] {
			continue
		}
		old, known := r.known[m.ID]
		v, now := verdictOf(m, report, old)
		if !known || old.digest != v.Digest {
			fresh[m.ID] = now
			drafts = append(drafts, evidence.Draft{Time: report.CheckTime, Actor: r.Actor, Kind: KindVerdict, Body: v})
		}
	}
	after := maps.Clone(r.known)
	maps.Copy(after, fresh)
	stayed := r.stayed
	if l.whole && len(fresh) == 0 {
		stayed = count(stayed, report, after)
	}
	if s := stayed; s.Cycles > 0 && (len(drafts) > 0 || s.To.Sub(s.From) >= foldEvery) {
		drafts = append([]evidence.Draft{{Time: report.CheckTime, Actor: r.Actor, Kind: KindSame, Body: s}}, drafts...)
		stayed = Stayed{}
	}
	if len(drafts) > 0 {
		if _, err := r.Ledger.Append(ctx, VerdictLog, evidence.Any, drafts...); err != nil {
			return false, fmt.Errorf("record verdicts: %w", err)
		}
	}
	r.known, r.stayed = after, stayed
	return len(drafts) > 0, nil
}

// count adds a cycle that came to the same.
func count(s Stayed, report *check.Report, known map[string]standing) Stayed {
	if s.Cycles == 0 {
		s.From = report.CheckTime
	}
	s.Cycles++
	s.To, s.Models, s.Verdicts = report.CheckTime, len(report.Models), map[check.Verdict]int{}
	h := sha256.New()
	for _, m := range report.Models {
		s.Verdicts[m.Verdict]++
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		_, _ = fmt.Fprintf(h, "%s %s\n", id, known[id].digest)
	}
	s.Digest = hex.EncodeToString(h.Sum(nil))
	return s
}

// flush records the cycles counted so far.
func (r *Record) flush(ctx context.Context, at time.Time) error {
	if r == nil || r.stayed.Cycles == 0 {
		return nil
	}
	_, err := r.Ledger.Append(ctx, VerdictLog, evidence.Any, evidence.Draft{Time: at, Actor: r.Actor, Kind: KindSame, Body: r.stayed})
	if err == nil {
		r.stayed = Stayed{}
	}
	return err
}

// verdictOf is the verdict of a report on one of its models, after the one that
// stood before.
func verdictOf(m check.Model, report *check.Report, before standing) (Verdict, standing) {
	v := Verdict{Model: m.ID, Verdict: m.Verdict, Root: m.Root, Method: m.Method, At: report.CheckTime}
	if m.Baseline != nil {
		v.Baseline = m.Baseline.Root
	}
	var ids []string
	for _, i := range report.Indicators {
		if i.Source == m.ID && !behaviour(i.Type) {
			ids = append(ids, i.ID)
		}
	}
	ids = sorted(ids)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{string(v.Verdict), v.Root, v.Baseline}, ids...), "\n")))
	v.Digest, v.Count = hex.EncodeToString(sum[:]), len(ids)
	v.New, v.Gone = without(ids, before.ids), without(before.ids, ids)
	for _, list := range []*[]string{&v.New, &v.Gone} {
		if more := len(*list) - maxListed; more > 0 {
			*list, v.Omitted = (*list)[:maxListed], v.Omitted+more
		}
	}
	return v, standing{v.Digest, ids}
}

func sorted(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// without returns what is in ids and not in others, both sorted.
func without(ids, others []string) []string {
	out := []string{}
	for _, id := range ids {
		if _, found := slices.BinarySearch(others, id); !found {
			out = append(out, id)
		}
	}
	return out
}
