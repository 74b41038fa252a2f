package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/respond"
	"github.com/weightwarden/weightwarden/internal/trust"
)

type isolateOptions struct {
	planOptions
	mode string
}

func newIncidentIsolate(g *globals) *cobra.Command {
	var o isolateOptions
	cmd := &cobra.Command{
		Use: "isolate ID", Short: "Take the model out of serving, preserving evidence", Args: cobra.ExactArgs(1),
		Long: `Prints the plan; with --apply carries it out: the model's root digest goes on the
deny-list, and the model's directory leaves its serving path by an atomic
exchange with a directory that holds only COMPROMISED.txt. The model stays as it
is, in quarantine on the same file system. Secrets to rotate become open tasks.

--mode mark leaves the files where they are and puts a marker beside them.
Refused (exit 5) before the evidence is sealed: weightwarden incident assess ID`,
		Example: "  weightwarden incident isolate INC-20261123-ABCDEFGH\n  weightwarden incident isolate INC-20261123-ABCDEFGH --apply",
		RunE:    func(cmd *cobra.Command, args []string) error { return runIsolate(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.mode, "mode", "move", "`mode`: move, out of the serving path; or mark, leave the files and mark beside them")
	return cmd
}

func runIsolate(ctx context.Context, g *globals, o isolateOptions, id string) error {
	if !slices.Contains([]string{"move", "mark"}, o.mode) {
		return usage("--mode: no mode %.40q: use move or mark", o.mode)
	}
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		m, err := s.affected(inc, o.model)
		if err != nil {
			return err
		}
		inCluster, err := s.workloads(o.cluster, m)
		if err != nil {
			return err
		}
		plan, err := s.planIsolate(ctx, inc, m, o.mode == "mark", inCluster)
		if err != nil {
			return err
		}
		return s.settle(ctx, o.planOptions, inc, planned{Plan: plan}, s.secretTasks(inc)...)
	})
}

// planIsolate makes the plan from the sealed state of the model: its root
// digest is that of the evidence, not of a second look.
func (s *session) planIsolate(ctx context.Context, inc *incident.Incident, m config.Model, mark, inCluster bool) (action.Plan, error) {
	d, err := s.driver()
	if err != nil {
		return action.Plan{}, err
	}
	root := inc.Assessed[m.ID].Root
	isolate := d.Isolate
	if inCluster {
		isolate = s.isolateWorkloads
	}
	draft, err := isolate(ctx, action.Request{Incident: inc.ID, Model: m.Model, Mark: mark})
	if err != nil {
		return action.Plan{}, err
	}
	plan := action.Plan{
		Incident: inc.ID, Action: action.Isolate, Model: m.ID, Target: m.Path,
		Observed: draft.Observed, Remarks: draft.Remarks, Steps: draft.Steps,
	}
	if inCluster {
		scene, err := s.scenes(ctx, m.Model)
		if err != nil {
			return action.Plan{}, err
		}
		plan.Target = scene.Target()
		if root.IsZero() {
			return plan, nil // what its pods hold is denied by what names it there
		}
	}
	state, err := s.trusted(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	base, has := state.Baseline(m.ID)
	switch {
	case root.IsZero():
		plan.Remarks = append(plan.Remarks, "the root digest is not known before the evidence is sealed; it will go on the deny-list")
	case has && base.Body.Root == root && changed(inc, m.ID):
		plan.Remarks = append(plan.Remarks, "the files are those of the baseline and only something else differs (links, directories): the root digest does not go on the deny-list, since the good version has the same")
	default:
		deny := respond.Deny(trust.Denial{Subject: trust.Root, Value: root.String(), Reason: "isolated: " + inc.Summary, Incident: inc.ID})
		plan.Steps = append([]action.Step{deny}, plan.Steps...)
	}
	return plan, nil
}

// changed reports whether the incident has signs of tampering with the model.
func changed(inc *incident.Incident, model string) bool {
	return slices.ContainsFunc(inc.Indicators, func(i indicator.Indicator) bool {
		return i.Source == model && i.Class() == indicator.Found
	})
}

// reachable are the secrets that the guide tells to rotate, where the
// configuration names none.
var reachable = []string{
	"the access tokens of the model registry",
	"the API keys of the inference pipeline",
	"the secrets of the build pipeline",
}

// secretTasks opens a task for each secret to rotate, once per incident.
func (s *session) secretTasks(inc *incident.Incident) []evidence.Draft {
	if slices.ContainsFunc(inc.Tasks, func(t incident.TaskState) bool { return t.ID == "rotate-1" }) {
		return nil
	}
	secrets := s.conf.Secrets
	if len(secrets) == 0 {
		secrets = reachable
	}
	var out []evidence.Draft
	for n, name := range secrets {
		task := incident.Task{ID: fmt.Sprintf("rotate-%d", n+1), Text: "rotate " + name}
		out = append(out, evidence.Draft{Time: s.Now(), Actor: s.Actor, Kind: incident.KindTask, Body: task})
	}
	return out
}
