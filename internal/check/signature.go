package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// signed says what the model's signature adds to what the baseline says: a
// valid signature over another version is a replay, one by another signer a
// change of hands, one that does not verify a doubt.
func (c *Checker) signed(state *trust.State, base *baseline.Baseline, o *observation) []indicator.Indicator {
	r, changes := o.signature, manifest.Compare(base.Manifest, o.now)
	switch {
	case r == nil || r.Method == "" && r.Verdict != oms.Error:
		return nil // nobody to trust, or not signed; a signature that went is a missing file
	case r.Verdict != oms.Verified && base.Voucher == trust.ByPerson && len(changes) == 0:
		return nil // whoever vouches for exactly this did so with that signature in it
	case r.Verdict == oms.Tampered:
		return c.contradicted(o)
	case r.Verdict == oms.Error && len(o.now.Problems) > 0:
		return nil // what could not be read is reported as that; it says nothing about the signer
	case r.Verdict != oms.Verified:
		return c.untrustedSignature(o)
	}
	var out []indicator.Indicator
	if replaced(base, o, changes) {
		out = append(out, c.replaced(state, base, r))
	}
	if base.Voucher == trust.BySignature && base.Who != r.Signer {
		out = append(out, indicator.New(indicator.ModelSignerChanged, base.Model, c.Now(),
			fmt.Sprintf("the signature is by %s, and the baseline was vouched for by %s", artifact.Quote(r.Signer), artifact.Quote(base.Who)),
			map[string]any{"model_id": base.Model, "old": base.Who, "new": r.Signer}, r.Signer))
	}
	return out
}

// replaced reports whether a valid signature is over another version than the
// one that the baseline pins. One that was not signed when its baseline was
// taken differs when anything but the signature's own files does.
func replaced(base *baseline.Baseline, o *observation, changes []manifest.Change) bool {
	if !base.Signed.IsZero() {
		return base.Signed != o.signature.RootDigest
	}
	material := map[string]bool{}
	for _, name := range o.signature.Material {
		material[o.locate(name)] = true
	}
	return slices.ContainsFunc(changes, func(c manifest.Change) bool { return !material[c.Path] })
}

func (c *Checker) replaced(state *trust.State, base *baseline.Baseline, r *oms.Result) indicator.Indicator {
	ev := map[string]any{
		"model_id": base.Model, "expected_root": base.Signed.String(), "actual_root": r.RootDigest.String(),
		"signer": r.Signer, "next_step": "weightwarden baseline diff " + base.Model,
	}
	text := "a validly signed version is in the place of the one that the baseline pins"
	if since, ok := knownBefore(state, base, r); ok {
		ev["known_since"] = since.UTC().Format(time.RFC3339)
		text = "an older validly signed version, known here since " + since.UTC().Format(time.RFC3339) + ", is in the place of the one that the baseline pins"
	}
	return indicator.New(indicator.ModelReplaced, base.Model, c.Now(), text, ev, r.RootDigest.String())
}

// knownBefore says since when the host's record has the version, if that was
// before the baseline was taken.
func knownBefore(state *trust.State, base *baseline.Baseline, r *oms.Result) (time.Time, bool) {
	for _, past := range state.Baselines[base.Model] {
		if past.Body.Signed == r.RootDigest && past.Time.Before(base.Established) {
			return past.Time, true
		}
	}
	v, ok := state.VouchedFor(r.RootDigest, base.Established)
	return v.Time, ok
}

// contradicted returns what the signature says of files, for a baseline that
// was taken of a model that had been tampered with already.
func (c *Checker) contradicted(o *observation) []indicator.Indicator {
	types := map[string]indicator.Type{oms.KindMissing: indicator.ModelFileMissing, oms.KindUnexpected: indicator.UnexpectedModelFile}
	var out []indicator.Indicator
	for _, m := range o.signature.Mismatches {
		t, ok := types[m.Kind]
		if !ok {
			t = indicator.ModelFileTampered
		}
		out = append(out, indicator.New(t, o.model.ID, c.Now(),
			fmt.Sprintf("%s is not what the signature of %s covers (%s)", artifact.Quote(m.File), artifact.Quote(o.signature.Signer), m.Kind),
			map[string]any{
				"file": m.File, "model_id": o.model.ID, "expected_hash": m.ExpectedHash, "actual_hash": m.ActualHash,
				"expected_by": "signature", "signer": o.signature.Signer,
			}, m.File, "signature", m.Kind, m.ActualHash))
	}
	return out
}

// untrustedSignature is one that is there and does not verify. Where files
// could not be read, that is said of them.
func (c *Checker) untrustedSignature(o *observation) []indicator.Indicator {
	if o.signature.Verdict == oms.Error && len(o.now.Problems) > 0 {
		return nil
	}
	return []indicator.Indicator{indicator.New(indicator.ModelSignatureUntrusted, o.model.ID, c.Now(),
		"the model's signature does not verify under the configured trust"+reasons(o.signature),
		map[string]any{"model_id": o.model.ID, "verdict": string(o.signature.Verdict), "reasons": o.signature.Reasons}, string(o.signature.Verdict))}
}

// deniedSigner is a model that carries a good signature by somebody who is on
// the deny-list, or over a version that is. base is nil where there is none: a
// person who vouched for exactly this after the denial knew of it.
func (c *Checker) deniedSigner(state *trust.State, base *baseline.Baseline, o *observation) []indicator.Indicator {
	r := o.signature
	if r == nil || r.Signer == "" {
		return nil
	}
	d, ok := state.DeniedSigner(r.KeyHint, r.Signer)
	if !ok && !r.RootDigest.IsZero() && r.RootDigest != o.now.Root() {
		d, ok = state.Denied(trust.Root, r.RootDigest.String())
	}
	if !ok || base != nil && base.Voucher == trust.ByPerson && base.Trusted() && !base.Established.Before(d.Time) &&
		len(manifest.Compare(base.Manifest, o.now)) == 0 {
		return nil
	}
	return []indicator.Indicator{indicator.New(indicator.ModelDenied, o.model.ID, c.Now(),
		"the model's signature: "+d.Body.String(),
		map[string]any{"model_id": o.model.ID, "subject": string(d.Body.Subject), "value": d.Body.Value, "signer": r.Signer, "incident_id": d.Body.Incident},
		string(d.Body.Subject), d.Body.Value)}
}
