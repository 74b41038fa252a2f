package check

import (
	"context"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// observation is a model as it is now, read once.
type observation struct {
	model  artifact.Model
	now    *manifest.Manifest
	sight  *sight // how now came about
	layout *layout.Report
	// signature is nil where there is nobody to trust. It was compared with
	// now, so both are of the same state.
	signature *oms.Result
	// locate says where the signature's names are in now.
	locate func(string) string
}

// observe takes the model as it is deployed, and compares it by blocks with
// base where that will do; base may be nil. The errors are those of
// [manifest.Take].
func (c *Checker) observe(ctx context.Context, m artifact.Model, base *baseline.Baseline, g glance) (*observation, error) {
	l := layout.Detect(m.Path)
	s, err := c.look(ctx, l, m.ID, base, g)
	if err != nil {
		return nil, err
	}
	now := s.now
	report, err := l.Verify(ctx, now)
	if err != nil {
		return nil, err
	}
	report.Contents = nil // verify shows them; a check of every hour need not
	o := &observation{model: m, now: now, sight: s, layout: report}
	if !c.anyTrust() {
		return o, nil
	}
	view, locate := l.View(now)
	o.locate = locate
	source := oms.Source{Path: m.Path, Manifest: view}
	if l.Kind == layout.HubSnapshot {
		source.Tree, source.Locate = l.Tree, locate
	}
	o.signature, err = oms.VerifyManifest(ctx, source, oms.VerifyOptions{Trust: c.Trust, Now: c.Now()})
	return o, err
}

func (c *Checker) anyTrust() bool {
	return len(c.Trust.Keys) > 0 || c.Trust.Roots != nil || c.Trust.Keyless != nil
}

// vouch says who vouches for the model as it is: its signer when its
// signature verifies under the configured trust, covers every file and is not
// on the deny-list, else nobody. The text says what came of the signature.
func (o *observation) vouch(state *trust.State) (trust.BaselineSet, string) {
	set := trust.BaselineSet{Model: o.model.ID, Path: o.model.Path, Voucher: trust.FirstUse}
	r := o.signature
	switch {
	case r == nil:
		return set, "no key, certificate or identity is trusted"
	case r.Verdict != oms.Verified:
		return set, "signature " + string(r.Verdict) + reasons(r)
	case len(r.Uncovered) > 0:
		return set, "the signature does not cover " + artifact.Quote(r.Uncovered[0])
	}
	if d, denied := state.DeniedSigner(r.KeyHint, r.Signer); denied {
		return set, d.Body.String()
	}
	set.Voucher, set.Who, set.Reason = trust.BySignature, r.Signer, "signature verified on first use"
	set.Key, set.Signed = r.KeyHint, r.RootDigest
	return set, "verified"
}

func reasons(r *oms.Result) string {
	if len(r.Reasons) == 0 {
		return ""
	}
	return ": " + r.Reasons[0]
}
