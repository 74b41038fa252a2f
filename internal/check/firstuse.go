package check

import (
	"context"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// firstUse takes the baseline of a model that has none: vouched for by its
// signature where that verifies, else by nobody, which it says.
func (c *Checker) firstUse(ctx context.Context, t Target, now *manifest.Manifest, fresh *manifest.Blocks) (*BaselineInfo, []indicator.Indicator) {
	if problems := baseline.Problems(t.ID, now, c.Now()); len(problems) > 0 {
		return nil, problems
	}
	set, signature := c.Vouch(ctx, t.Model, now)
	if c.RequireSigned && set.Voucher != trust.BySignature {
		return nil, []indicator.Indicator{indicator.New(indicator.BaselineRefused, t.ID, c.Now(),
			"the policy requires a signature before a baseline is taken: "+signature,
			map[string]any{"model_id": t.ID, "signature": signature})}
	}
	at := c.Now()
	if err := c.Baselines.Save(ctx, set, now, at, c.Actor); err != nil {
		return nil, []indicator.Indicator{indicator.New(indicator.CheckFailed, t.ID, at, err.Error(), map[string]any{"model_id": t.ID})}
	}
	found := []indicator.Indicator{}
	if err := c.established(ctx, set, now, fresh); err != nil {
		found = append(found, c.stored(t, err))
	}
	if !set.Trusted() {
		found = append(found, unverified(t.ID, at))
	}
	return &BaselineInfo{Trusted: set.Trusted(), Voucher: set.Voucher, Who: set.Who, Root: now.Root().String(), Established: at.UTC()}, found
}

// Vouch says who vouches for a model as it is: its signer when its signature
// verifies under the configured trust and covers every file, else nobody. The
// text says what came of the signature.
func (c *Checker) Vouch(ctx context.Context, m artifact.Model, now *manifest.Manifest) (trust.BaselineSet, string) {
	set := trust.BaselineSet{Model: m.ID, Path: m.Path, Voucher: trust.FirstUse}
	r, err := oms.Verify(ctx, m.Path, oms.VerifyOptions{Trust: c.Trust, Now: c.Now()})
	switch {
	case err != nil:
		return set, err.Error()
	case r.Verdict != oms.Verified:
		return set, "signature " + string(r.Verdict) + reasons(r)
	case len(r.Uncovered) > 0:
		return set, "the signature does not cover " + artifact.Quote(r.Uncovered[0])
	case !sameFiles(r.Covered, now.Files):
		return set, "the model changed between two looks"
	}
	set.Voucher, set.Who, set.Reason = trust.BySignature, r.Signer, "signature verified on first use"
	return set, "verified"
}

func reasons(r *oms.Result) string {
	if len(r.Reasons) == 0 {
		return ""
	}
	return ": " + r.Reasons[0]
}

// sameFiles reports whether every covered file is in the manifest as the
// signature has it.
func sameFiles(covered, files []artifact.File) bool {
	byPath := make(map[string]artifact.Digest, len(files))
	for _, f := range files {
		byPath[f.Path] = f.Digest
	}
	for _, f := range covered {
		if d, ok := byPath[f.Path]; !ok || !f.Digest.IsZero() && d != f.Digest && f.Digest.Algorithm() == artifact.SHA256 {
			return false
		}
	}
	return true
}

// LoadState returns the host's record, for callers that decide by it.
func (c *Checker) LoadState(ctx context.Context) (*trust.State, error) { return c.state(ctx) }

// TakeBaseline makes the model as it is now the baseline. With a person's
// name in who, that person vouches for it; else its signature does, or nobody.
func (c *Checker) TakeBaseline(ctx context.Context, m artifact.Model, who, reason string) (*BaselineInfo, error) {
	seen, fresh, err := c.full(ctx, Target{Model: m}, true)
	if err != nil {
		return nil, err
	}
	now := seen.now
	set, signature := c.Vouch(ctx, m, now)
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
	if err := c.Baselines.Save(ctx, set, now, at, c.Actor); err != nil {
		return nil, err
	}
	if err := c.established(ctx, set, now, fresh); err != nil {
		return nil, err
	}
	return &BaselineInfo{Trusted: set.Trusted(), Voucher: set.Voucher, Who: set.Who, Root: now.Root().String(), Established: at.UTC()}, nil
}
