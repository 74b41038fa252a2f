package cli

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/knowngood"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// stillGood says why the version of a rollback that is continued may not be
// put in place now, or "". Where the configuration names whom to trust, it is
// examined as a candidate is. Where the keys were given by hand, the signature
// was verified when the plan was made, and the plan pins the bytes; what can
// have changed since is the deny-list.
func (s *session) stillGood(ctx context.Context, inc *incident.Incident, plan action.Plan) (reason, hint string, err error) {
	version := plan.Observed["version"]
	hint = "choose another version: weightwarden incident rollback " + inc.ID + "; what was done can be taken back: weightwarden incident undo " + inc.ID
	keys, err := s.trust(trustFlags{})
	if err != nil {
		return "", "", err
	}
	state, err := s.trusted(ctx)
	if err != nil {
		return "", "", err
	}
	if len(keys.Keys) == 0 && keys.Roots == nil && keys.Keyless == nil {
		if d := deniedSince(state, plan); d != "" {
			return artifact.Quote(version) + ": " + d, hint, nil
		}
		return "", "", nil
	}
	firstBad, _ := inc.FirstBad()
	c, err := knowngood.Selector{Trust: keys, State: state, Before: firstBad, Now: s.Now()}.Examine(ctx, version)
	if err != nil || c.Eligible() {
		return "", "", err
	}
	return artifact.Quote(c.Ref) + " " + strings.Join(c.Refusals, ", "), hint, nil
}

// deniedSince returns the denial of a version or its signer, by what the plan
// says of them.
func deniedSince(state *trust.State, plan action.Plan) string {
	for _, step := range plan.Steps {
		var p struct {
			Set  trust.BaselineSet `json:"set"`
			Root artifact.Digest   `json:"root_digest"`
		}
		if step.Driver != action.RecordDriver || json.Unmarshal(step.Params, &p) != nil || p.Root.IsZero() {
			continue
		}
		p.Set.Root = p.Root
		if signed, err := artifact.ParseDigest(plan.Observed["root_digest"]); err == nil {
			p.Set.Signed = signed
		}
		return state.Revoked(p.Set)
	}
	return ""
}
