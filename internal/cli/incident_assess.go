package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/assess"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/pyenv"
)

type assessOptions struct {
	model   string
	full    bool
	cluster clusterFlags
}

func (o *assessOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.model, "model", "", "`id` of the model (default: every model of the incident)")
	f.BoolVar(&o.full, "full", false, "capture every file of the model, not only what differs from the baseline")
	o.cluster.add(f)
}

func newIncidentAssess(g *globals) *cobra.Command {
	var o assessOptions
	cmd := &cobra.Command{
		Use: "assess ID", Short: "Capture and seal the evidence of the current state", Args: cobra.ExactArgs(1),
		Long: `Captures, the volatile first (RFC 3227): kernel, boot and clock, processes, memory
maps and sockets (from /proc), files of the model that a process holds open
though they are deleted or replaced (copied out), temporary file systems,
mounts; then of the model times, owners and extended attributes, the manifest,
the signature, and a copy of every file that is changed, unexpected or on the
deny-list, read again past the page cache; then Python and system packages, unit
files and log lines that mention the model. Without a baseline, and with --full,
every file is copied. Each item is sealed in the record with SHA-256, size,
origin and time; what could not be captured, or not wholly, is in the record
with its reason.

A file is hashed once: each part of it is written into the vault, read back and
compared, and compared with what the disk holds, while it is in memory. A copy
that does not read back as it was written is refused. Holes take no room.

Exit code 4 when the evidence that isolation asks for could not be sealed.`,
		Example: "  weightwarden incident assess INC-20261123-ABCDEFGH",
		RunE:    func(cmd *cobra.Command, args []string) error { return runAssess(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runAssess(ctx context.Context, g *globals, o assessOptions, id string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		if inc.State == incident.Done {
			return fault.New(fault.Refused, "incident %s is closed", id).WithHint("open a new one: weightwarden incident open")
		}
		if err := s.mayRecord(ctx, inc, "assess"); err != nil {
			return err
		}
		models := inc.Models
		if o.model != "" {
			models = []string{o.model}
		}
		out, sealed := []incident.Assessed{}, true
		for _, name := range models {
			m, err := s.affected(inc, name)
			if err != nil {
				return err
			}
			inCluster, err := s.workloads(o.cluster, m)
			if err != nil {
				return err
			}
			a, err := s.assess(ctx, inc, m, o.full, inCluster)
			if err != nil {
				return err
			}
			out, sealed = append(out, a), sealed && a.Sealed
		}
		err = g.print(out, func(p *printer) {
			for _, a := range out {
				p.printf("%s: %s sealed, %s not captured", artifact.Quote(a.Model), plural(a.Items, "item", "items"), plural(a.Gaps, "item", "items"))
				if a.Sealed {
					p.printf("\nnext: weightwarden incident isolate %s\n", id)
				} else {
					p.printf("\nnot sealed: %s\n", oneLine(a.Reason))
				}
			}
		})
		if err != nil {
			return err
		}
		return outcome(false, false, !sealed)
	})
}

// assess captures one model. Without a baseline to rely on, nothing can be
// called unchanged, so everything is captured.
func (s *session) assess(ctx context.Context, inc *incident.Incident, m config.Model, full, inCluster bool) (incident.Assessed, error) {
	base, state, err := s.loadBaseline(ctx, m.ID)
	if err != nil && fault.KindOf(err) != fault.NotFound && !errors.Is(err, baseline.ErrAltered) {
		return incident.Assessed{}, err
	}
	if err != nil {
		base = nil
	}
	r, progress := s.responder(), newProgress(s.globals)
	defer progress.done()
	known, suspects := map[string]bool{}, map[string]bool{}
	for _, i := range inc.Indicators {
		known[i.ID] = true
		if i.Source == m.ID && i.File() != "" {
			suspects[i.File()] = true
		}
	}
	a := &assess.Assessor{
		Vault: s.vault, Full: full, Now: s.Now, Known: known, Suspects: suspects,
		Sources: s.volatile(m), After: s.lasting(m),
		Record: func(ctx context.Context, kind string, body any) error {
			return r.Record(ctx, inc.ID, r.Draft(kind, body))
		},
		Progress: func(what string) { progress.line("capturing %s", artifact.Quote(what)) },
	}
	if inCluster {
		must, can := s.captured(m)
		a.Workloads, a.Sources = must, append(can, a.Sources...)
	}
	return a.Run(ctx, m.Model, base, state)
}

func (s *session) packages(ctx context.Context) (any, []string, error) {
	dirs := s.environments(ctx)
	if len(dirs) == 0 {
		return nil, nil, fault.New(fault.NotFound, "no Python environment is configured or found")
	}
	var missing []string
	envs := []*pyenv.Environment{}
	for _, dir := range dirs {
		env := pyenv.Read(ctx, dir)
		for _, p := range env.Problems {
			missing = append(missing, p.Path+": "+p.Reason)
		}
		envs = append(envs, env)
	}
	return envs, missing, nil
}
