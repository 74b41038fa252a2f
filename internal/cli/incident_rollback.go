package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/knowngood"
	"github.com/weightwarden/weightwarden/internal/respond"
	"github.com/weightwarden/weightwarden/internal/trust"
)

type rollbackOptions struct {
	planOptions
	trustFlags
	to string
}

func newIncidentRollback(g *globals) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use: "rollback ID", Short: "Put a version in place that verifies now", Args: cobra.ExactArgs(1),
		Long: `Prints the plan; with --apply carries it out. Candidates are the versions in the
archive of the model; each must verify now (signature and every file), must not
be on the deny-list, and must have been vouched for before the first bad moment.
Of these the newest by that time is taken, never by name. --to names one, which
has to pass the same.

The version is copied beside the target, synced, verified again and exchanged
atomically; what was there stays in quarantine. Interrupted at any moment, the
serving path holds either what was there or the complete version, and
"weightwarden incident resume ID" finishes.`,
		Example: "  weightwarden incident rollback INC-20261123-ABCDEFGH --public-key release.pub\n" +
			"  weightwarden incident rollback INC-20261123-ABCDEFGH --to sentiment-v2 --public-key release.pub --apply",
		RunE: func(cmd *cobra.Command, args []string) error { return runRollback(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	o.add(cmd.Flags())
	cmd.Flags().StringVar(&o.to, "to", "", "version to roll back to: its `name` in the archive, or a path")
	return cmd
}

func runRollback(ctx context.Context, g *globals, o rollbackOptions, id string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		m, err := s.affected(inc, o.model)
		if err != nil {
			return err
		}
		target, all, err := s.selectVersion(ctx, inc, m, o)
		if err != nil {
			return err
		}
		inCluster, err := s.workloads(o.cluster, m)
		if err != nil {
			return err
		}
		plan, err := s.planRollback(ctx, inc, m, target, inCluster)
		if err != nil {
			return err
		}
		return s.settle(ctx, o.planOptions, inc, planned{Plan: plan, Candidates: all})
	})
}

// selectVersion picks the version to roll back to, or refuses at the gate
// that lets only verified versions through.
func (s *session) selectVersion(ctx context.Context, inc *incident.Incident, m config.Model, o rollbackOptions) (knowngood.Candidate, []knowngood.Candidate, error) {
	var none knowngood.Candidate
	keys, err := s.trust(o.trustFlags)
	if err != nil {
		return none, nil, err
	}
	state, err := s.trusted(ctx)
	if err != nil {
		return none, nil, err
	}
	firstBad, _ := inc.FirstBad()
	selector := knowngood.Selector{Trust: keys, State: state, Before: firstBad, Now: s.Now()}
	all, err := s.candidates(ctx, selector, m, o.to)
	if err != nil {
		return none, nil, err
	}
	if len(all) > 0 && all[0].Eligible() {
		return all[0], all, nil
	}
	reason, hint := noCandidate(all, s.archive(m), inc.ID, len(keys.Keys) == 0 && keys.Roots == nil && keys.Keyless == nil)
	return none, all, s.responder().Refuse(ctx, inc.ID, incident.Refused{Gate: "G4", Action: string(action.Rollback), Reason: reason}, hint)
}

func (s *session) candidates(ctx context.Context, selector knowngood.Selector, m config.Model, to string) ([]knowngood.Candidate, error) {
	archive := s.archive(m)
	if to == "" {
		var others []string
		for _, other := range s.conf.Models {
			others = append(others, other.ID)
		}
		return selector.List(ctx, archive, m.ID, others)
	}
	path := to
	if archive != "" && filepath.IsLocal(to) && !strings.ContainsRune(to, filepath.Separator) {
		path = filepath.Join(archive, to)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fault.New(fault.NotFound, "version to roll back to: %w", err).
			WithHint("name a version in the archive %s, or a path", artifact.Quote(archive))
	}
	c, err := selector.Examine(ctx, path)
	return []knowngood.Candidate{c}, err
}

// noCandidate says why there is no version to roll back to.
func noCandidate(all []knowngood.Candidate, archive, id string, nobody bool) (reason, hint string) {
	hint = "keep the model out of serving; bring a signed version, or state what is known: weightwarden incident fact " + id + " first_bad_at TIME"
	if nobody {
		hint = "say whom to trust: --public-key FILE, --certificate-chain FILE or --identity NAME, or trust: in the configuration"
	}
	if len(all) == 0 {
		return "there is no version of the model in " + artifact.Quote(archive), hint
	}
	var reasons []string
	for _, c := range all {
		reasons = append(reasons, artifact.Quote(c.Ref)+" "+strings.Join(c.Refusals, ", "))
	}
	return "no version may be rolled back to: " + strings.Join(reasons, "; "), hint
}

// planRollback makes the plan to put exactly the verified files in place and
// to make them the baseline.
func (s *session) planRollback(ctx context.Context, inc *incident.Incident, m config.Model, c knowngood.Candidate, inCluster bool) (action.Plan, error) {
	d, err := s.driver()
	if err != nil {
		return action.Plan{}, err
	}
	request := action.Request{Incident: inc.ID, Model: m.Model, Source: c.Path, Files: c.Files, Version: c.Ref, Installed: c.Installed}
	if inCluster {
		return s.planRollbackWorkloads(ctx, inc, request, c)
	}
	draft, err := d.Rollback(ctx, request)
	if err != nil {
		return action.Plan{}, err
	}
	state, err := s.trusted(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	var before *trust.BaselineSet
	if b, ok := state.Baseline(m.ID); ok {
		before = &b.Body
	}
	set := trust.BaselineSet{
		Model: m.ID, Path: m.Path, Voucher: trust.BySignature, Who: c.Signer, Reason: "rolled back in " + inc.ID,
	}
	plan := action.Plan{
		Incident: inc.ID, Action: action.Rollback, Model: m.ID, Target: m.Path, Observed: draft.Observed,
		Remarks: draft.Remarks, Steps: append(draft.Steps, respond.SetBaseline(set, c.Installed, before)),
	}
	plan.Observed["version"], plan.Observed["root_digest"] = c.Path, c.Root.String()
	if c.Weak {
		plan.Remarks = append(plan.Remarks, "since when the version is vouched for is known only by the time of its signature's file")
	}
	return plan, nil
}

// planRollbackWorkloads makes the plan to let the workloads serve the version.
// The baseline stays: it is that of the files on the nodes, and whoever watches
// them there vouches for it.
func (s *session) planRollbackWorkloads(ctx context.Context, inc *incident.Incident, r action.Request, c knowngood.Candidate) (action.Plan, error) {
	draft, err := s.rollbackWorkloads(ctx, inc, r)
	if err != nil {
		return action.Plan{}, err
	}
	scene, err := s.scenes(ctx, r.Model)
	if err != nil {
		return action.Plan{}, err
	}
	draft.Observed["version"], draft.Observed["root_digest"] = c.Path, c.Root.String()
	return action.Plan{
		Incident: inc.ID, Action: action.Rollback, Model: r.Model.ID, Target: scene.Target(), Observed: draft.Observed,
		Remarks: draft.Remarks, Steps: draft.Steps,
	}, nil
}
