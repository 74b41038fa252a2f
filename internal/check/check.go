// Package check carries out one full cycle: every model against its baseline
// and the deny-list, the Python packages against the configuration, recent
// outputs against the reference. It reports; whether an incident follows is
// for others to decide.
package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/drift"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// Target is a model to check, with where its outputs are.
type Target struct {
	artifact.Model
	Drift drift.Config
}

// Checker holds what a cycle needs. It keeps nothing between cycles.
type Checker struct {
	Targets   []Target
	Baselines baseline.Store
	Ledger    evidence.Ledger
	// Trust verifies the signature of a model that has no baseline yet. With
	// RequireSigned such a model must verify.
	Trust         oms.Trust
	RequireSigned bool
	// Environments are the Python environments to look at, Packages what
	// must be installed in them.
	Environments []string
	Packages     map[string]string
	// DriftThreshold is a divergence in bits.
	DriftThreshold float64
	Hashing        Hashing
	// Actor is who takes baselines on first use.
	Actor    string
	Now      func() time.Time
	Progress func(model string, p manifest.Progress)

	// settled is that of [manifest.Options].
	settled func(artifact.File, fs.FileInfo)
}

// Report is the outcome of a cycle. The field names are the guide's.
type Report struct {
	CheckTime        time.Time             `json:"check_time"`
	TotalIndicators  int                   `json:"total_indicators"`
	Critical         int                   `json:"critical"`
	IncidentDetected bool                  `json:"incident_detected"`
	Indicators       []indicator.Indicator `json:"indicators"`
	Models           []Model               `json:"models"`
}

// Verdict is the outcome for one model.
type Verdict string

// The verdicts.
const (
	// Clean means that the model is what its baseline says.
	Clean Verdict = "clean"
	// Unverified means that the baseline was taken just now, so that there
	// was nothing to compare with.
	Unverified Verdict = "unverified"
	// Tampered means that the model is not what its baseline says, or that
	// it is on the deny-list.
	Tampered Verdict = "tampered"
	// Untrusted means that a signature was required and is not there, that
	// one does not verify, or that who vouches is on the deny-list.
	Untrusted Verdict = "untrusted"
	// Error means that the model, or a part of it, could not be looked at.
	Error Verdict = "error"
)

// Model is what was found of one model.
type Model struct {
	ID       string        `json:"id"`
	Path     string        `json:"path"`
	Critical bool          `json:"critical"`
	Files    int           `json:"files"`
	Bytes    int64         `json:"bytes"`
	Verdict  Verdict       `json:"verdict"`
	Method   Method        `json:"method,omitempty"`
	Root     string        `json:"root_digest,omitempty"`
	Baseline *BaselineInfo `json:"baseline"`
	// Layout is nil when the model could not be looked at.
	Layout *layout.Report `json:"layout"`
	// Look counts the looks at a model of one [Live]: of two reports that
	// cross, the one with the higher number is the later.
	Look uint64 `json:"-"`
}

// BaselineInfo is what the model was compared with.
type BaselineInfo struct {
	Trusted     bool          `json:"trusted"`
	Voucher     trust.Voucher `json:"voucher"`
	Who         string        `json:"who,omitempty"`
	Root        string        `json:"root_digest"`
	Established time.Time     `json:"established"`
	// Revoked says why nobody vouches for it any more, if so.
	Revoked string `json:"revoked,omitempty"`
}

// Run carries out one cycle over the models named in only, or over all of
// them. Indicators come worst first. An error means that no cycle took place.
func (c *Checker) Run(ctx context.Context, only []string) (*Report, error) {
	targets, err := c.pick(only)
	if err != nil {
		return nil, err
	}
	r := &Report{CheckTime: c.Now().UTC(), Indicators: []indicator.Indicator{}, Models: []Model{}}
	state, err := c.state(ctx)
	if errors.Is(err, evidence.ErrAltered) {
		r.Indicators = append(r.Indicators, indicator.New(indicator.RecordAltered, trust.Log, c.Now(), err.Error(),
			map[string]any{"next_step": "weightwarden incident verify " + trust.Log}))
	} else if err != nil {
		return nil, err
	}
	for _, t := range targets {
		m, found, _ := c.model(ctx, state, t, glance{})
		r.Models = append(r.Models, m)
		r.Indicators = append(r.Indicators, found...)
		r.Indicators = append(r.Indicators, c.behaviour(ctx, t)...)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if len(only) == 0 {
		r.Indicators = append(r.Indicators, c.packages(ctx)...)
	}
	r.summarise()
	return r, nil
}

// state returns the host's record. It is nil when the record was altered, since
// then nothing in it can be relied on.
func (c *Checker) state(ctx context.Context) (*trust.State, error) {
	entries, err := c.Ledger.Entries(ctx, trust.Log, 1)
	if err != nil {
		return nil, fmt.Errorf("read the host's record: %w", err)
	}
	return trust.Fold(entries)
}

func (c *Checker) pick(only []string) ([]Target, error) {
	if len(only) == 0 {
		return c.Targets, nil
	}
	var out []Target
	for _, id := range only {
		at := slices.IndexFunc(c.Targets, func(t Target) bool { return t.ID == id })
		if at < 0 {
			return nil, fault.New(fault.Invalid, "check: no model %s in the configuration", artifact.Quote(id)).
				WithHint("add it under models:, or see what is there: weightwarden baseline list")
		}
		out = append(out, c.Targets[at])
	}
	return out, nil
}

func (r *Report) summarise() {
	slices.SortStableFunc(r.Indicators, indicator.Compare)
	r.TotalIndicators = len(r.Indicators)
	for _, i := range r.Indicators {
		if i.Severity == finding.Critical {
			r.Critical++
		}
		if i.Class() == indicator.Found && i.Severity >= finding.High {
			r.IncidentDetected = true
		}
	}
}

// Outcome says what the cycle amounts to. Found outranks doubt about trust,
// which outranks what could not be looked at; failOn is the severity from
// which an indicator counts as found.
func (r *Report) Outcome(failOn finding.Severity) (found, untrusted, incomplete bool) {
	for _, i := range r.Indicators {
		switch i.Class() {
		case indicator.Found:
			found = found || i.Severity >= failOn
		case indicator.Trust:
			untrusted = untrusted || i.Severity >= finding.High
		case indicator.Incomplete:
			incomplete = true
		}
	}
	return found, untrusted, incomplete
}

// model checks one model. Its trouble is in the indicators. Without a record to
// rely on no baseline is taken, and nothing is called clean.
func (c *Checker) model(ctx context.Context, state *trust.State, t Target, g glance) (Model, []indicator.Indicator, *sight) {
	m := Model{ID: t.ID, Path: t.Path, Critical: t.Critical}
	var base *baseline.Baseline
	var baseErr error
	if state != nil {
		base, baseErr = c.Baselines.Load(ctx, state, t.ID)
	}
	o, err := c.observe(ctx, t.Model, base, g)
	if err != nil {
		missing := fault.KindOf(err) == fault.NotFound
		m.Verdict = Error
		typ := indicator.ModelUnreadable
		if missing {
			m.Verdict, typ = Tampered, indicator.ModelMissing
		}
		return m, []indicator.Indicator{indicator.New(typ, t.ID, c.Now(), err.Error(),
			map[string]any{"model_id": t.ID, "path": t.Path}, t.Path)}, nil
	}
	o.sight.base = base
	now := o.now
	m.Files, m.Bytes, m.Root, m.Layout = now.Regular(), now.Bytes(), now.Root().String(), o.layout
	m.Method = o.sight.method
	if state == nil {
		m.Verdict = Error // the record that would say what it should be was altered
		return m, baseline.Problems(t.ID, now, c.Now()), o.sight
	}
	found := append(c.denied(state, t, now), c.deniedSigner(state, base, o)...)
	switch err := baseErr; {
	case err == nil:
		m.Baseline = info(base)
		found = append(found, c.compare(base, o.sight)...)
		found = withoutRepeats(found, c.signed(state, base, o))
		found = withoutRepeats(found, c.structure(o, base.Trusted()))
		m.Verdict = verdict(found, Clean)
	case errors.Is(err, baseline.ErrAltered):
		found = append(found, indicator.New(indicator.BaselineAltered, t.ID, c.Now(), err.Error(),
			map[string]any{"model_id": t.ID}))
		found = append(found, c.structure(o, false)...)
		m.Verdict = verdict(found, Tampered)
	case fault.KindOf(err) == fault.NotFound && g.noBaseline:
		m.Verdict = verdict(found, Unverified) // the next whole look takes one
	case fault.KindOf(err) == fault.NotFound:
		var first []indicator.Indicator
		m.Baseline, first = c.firstUse(ctx, state, o, len(found) > 0)
		found = append(found, first...)
		m.Verdict = verdict(found, Unverified)
	default:
		found = append(found, indicator.New(indicator.CheckFailed, t.ID, c.Now(), err.Error(), map[string]any{"model_id": t.ID}))
		m.Verdict = verdict(found, Error)
	}
	return m, found, o.sight
}

// verdict is the worst that the indicators say, or otherwise.
func verdict(found []indicator.Indicator, otherwise Verdict) Verdict {
	worst := otherwise
	for _, i := range found {
		switch {
		case i.Class() == indicator.Found:
			return Tampered
		case i.Class() == indicator.Trust && i.Severity >= finding.High:
			worst = Untrusted
		case i.Class() == indicator.Incomplete && worst != Untrusted:
			worst = Error
		}
	}
	return worst
}

func (c *Checker) compare(base *baseline.Baseline, s *sight) []indicator.Indicator {
	found := append(baseline.CompareRanges(base, s.now, s.ranges, c.Now()), s.found...)
	switch {
	case base.Revoked != "":
		found = append(found, indicator.New(indicator.BaselineRevoked, base.Model, c.Now(),
			"nobody vouches for the baseline any more: "+base.Revoked,
			map[string]any{"model_id": base.Model, "voucher": string(base.Voucher), "who": base.Who, "reason": base.Revoked}, base.Revoked))
	case !base.Trusted() && c.RequireSigned:
		found = append(found, indicator.New(indicator.BaselineRefused, base.Model, c.Now(),
			"the policy requires a signature, and the baseline was taken on first use",
			map[string]any{"model_id": base.Model}))
	case base.Voucher != trust.BySignature && c.RequireSigned:
		found = append(found, indicator.New(indicator.BaselineRefused, base.Model, c.Now(),
			"the policy requires a signature, and only a person vouches for the baseline",
			map[string]any{"model_id": base.Model}))
	case !base.Trusted():
		found = append(found, unverified(base.Model, c.Now()))
	}
	return found
}

func unverified(model string, at time.Time) indicator.Indicator {
	return indicator.New(indicator.BaselineUnverified, model, at,
		"nobody vouches for the baseline: it was taken on first use",
		map[string]any{"model_id": model, "next_step": "weightwarden baseline approve " + model})
}

func info(b *baseline.Baseline) *BaselineInfo {
	return &BaselineInfo{Trusted: b.Trusted(), Voucher: b.Voucher, Who: b.Who, Root: b.Root.String(), Established: b.Established, Revoked: b.Revoked}
}

// denied looks the model up in the deny-list.
func (c *Checker) denied(state *trust.State, t Target, now *manifest.Manifest) []indicator.Indicator {
	var out []indicator.Indicator
	if d, ok := state.Denied(trust.Root, now.Root().String()); ok && !now.Root().IsZero() {
		out = append(out, indicator.New(indicator.ModelDenied, t.ID, c.Now(),
			"the model is on the deny-list: "+artifact.Quote(d.Body.Reason),
			map[string]any{"model_id": t.ID, "root_digest": d.Body.Value, "incident_id": d.Body.Incident}, d.Body.Value))
	}
	if !state.DeniesFiles() {
		return out
	}
	for _, f := range now.Files {
		if d, ok := state.Denied(trust.File, f.Digest.String()); ok && !f.Digest.IsZero() {
			out = append(out, indicator.New(indicator.ModelDenied, t.ID, c.Now(),
				fmt.Sprintf("%s is on the deny-list: %s", artifact.Quote(f.Path), artifact.Quote(d.Body.Reason)),
				map[string]any{"model_id": t.ID, "file": f.Path, "actual_hash": d.Body.Value}, f.Path, d.Body.Value))
		}
	}
	return out
}
