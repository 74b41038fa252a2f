package check

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// firstUse takes the baseline of a model that has none: vouched for by its
// signature where that verifies, else by nobody, which it says. None is taken
// of a model that shows by itself that it was tampered with, by its signature
// or by the hashes that name its content, nor of one on the deny-list.
func (c *Checker) firstUse(ctx context.Context, state *trust.State, o *observation, denied bool) (*BaselineInfo, []indicator.Indicator) {
	id := o.model.ID
	set, signature := o.vouch(state)
	found := append(baseline.Problems(id, o.now, c.Now()), c.structure(o, set.Trusted())...)
	if r := o.signature; r != nil && r.Method != "" && r.Verdict == oms.Tampered {
		found = withoutRepeats(found, c.contradicted(o))
	} else if r != nil && r.Method != "" && r.Verdict != oms.Verified {
		found = append(found, c.untrustedSignature(o)...)
	}
	if len(o.now.Problems) > 0 || o.selfEvident() || denied {
		return nil, found
	}
	if c.RequireSigned && set.Voucher != trust.BySignature {
		return nil, append(found, indicator.New(indicator.BaselineRefused, id, c.Now(),
			"the policy requires a signature before a baseline is taken: "+signature,
			map[string]any{"model_id": id, "signature": signature}))
	}
	at := c.Now()
	if err := c.Baselines.Save(ctx, set, o.now, at, c.Actor); err != nil {
		return nil, append(found, indicator.New(indicator.CheckFailed, id, at, err.Error(), map[string]any{"model_id": id}))
	}
	if err := c.established(ctx, id, o.sight); err != nil {
		found = append(found, c.stored(id, err))
	}
	if !set.Trusted() {
		found = append(found, unverified(id, at))
	}
	return &BaselineInfo{Trusted: set.Trusted(), Voucher: set.Voucher, Who: set.Who, Root: o.now.Root().String(), Established: at.UTC()}, found
}

// selfEvident reports whether the model shows without any baseline that it was
// tampered with.
func (o *observation) selfEvident() bool {
	return !o.layout.Sound() || o.signature != nil && o.signature.Verdict == oms.Tampered
}

// TakeBaseline makes the model as it is now the baseline. With a person's
// name in who, that person vouches for it; else its signature does, or nobody.
// Nobody can vouch for content that contradicts its own name: that is a
// Refused fault. What is on the deny-list becomes no baseline: that is an
// Untrusted fault.
func (c *Checker) TakeBaseline(ctx context.Context, m artifact.Model, who, reason string) (*BaselineInfo, error) {
	state, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	o, err := c.observe(ctx, m, nil, glance{})
	if err != nil {
		return nil, err
	}
	if !o.layout.Sound() {
		return nil, fault.New(fault.Refused, "take baseline of %s: the %s contradicts itself: %s", artifact.Quote(m.ID), o.layout.Kind, firstTrouble(o)).
			WithHint("download it again, or copy the files out of it if they have to differ; all of it: weightwarden verify %s", artifact.Quote(m.Path))
	}
	if d, ok := state.DeniedAmong(o.now.Root(), o.now.Files); ok {
		return nil, fault.New(fault.Untrusted, "take baseline of %s: it is on the deny-list: %s %s", artifact.Quote(m.ID), d.Body.Subject, d.Body.Value).
			WithHint("treat it as an incident, or see: weightwarden deny list")
	}
	set, signature := o.vouch(state)
	if who != "" && set.Voucher != trust.BySignature {
		set.Voucher, set.Who = trust.ByPerson, who
	}
	if reason != "" {
		set.Reason = reason
	}
	if c.RequireSigned && set.Voucher != trust.BySignature {
		return nil, fault.New(fault.Untrusted, "take baseline of %s: the policy requires a signature: %s", artifact.Quote(m.ID), signature).
			WithHint("sign the model (weightwarden sign), or name the key under trust.public_keys")
	}
	at := c.Now()
	if err := c.Baselines.Save(ctx, set, o.now, at, c.Actor); err != nil {
		return nil, err
	}
	if err := c.established(ctx, m.ID, o.sight); err != nil {
		return nil, err
	}
	if set.Voucher == trust.ByPerson {
		approved := trust.Vouch{Root: o.now.Root(), How: trust.Approved, Who: set.Who}
		if _, err := c.Ledger.Append(ctx, trust.Log, evidence.Any,
			evidence.Draft{Time: at, Actor: c.Actor, Kind: trust.KindVouched, Body: approved}); err != nil {
			return nil, fmt.Errorf("record approval: %w", err)
		}
	}
	return &BaselineInfo{Trusted: set.Trusted(), Voucher: set.Voucher, Who: set.Who, Root: o.now.Root().String(), Established: at.UTC()}, nil
}

func firstTrouble(o *observation) string {
	for _, m := range o.layout.Mismatches {
		return artifact.Quote(m.File) + ": " + m.Reason
	}
	for _, p := range o.layout.Problems {
		if p.Class == layout.Contradiction {
			return artifact.Quote(p.Path) + ": " + p.Reason
		}
	}
	return ""
}
