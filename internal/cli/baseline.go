package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/trust"
)

func newBaseline(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "baseline", Short: "The trusted state of deployed models",
		Long: `A baseline is the manifest of a model as it should be, signed with the key of
the state directory. Somebody vouches for it: the signer of the model, a person
who approved it, or nobody (first use), and everything that depends on it says so.`,
	}
	cmd.AddCommand(newBaselineCreate(g), newBaselineApprove(g), newBaselineShow(g), newBaselineList(g), newBaselineDiff(g))
	return cmd
}

func newBaselineCreate(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "create MODEL…", Short: "Take the model as it is now as its baseline",
		Long: `Takes the model as it is now as its baseline. It is trusted when the model's
signature verifies under trust: and covers every file; else it counts as first
use until somebody approves it.`,
		Args: cobra.MinimumNArgs(1), Example: "  weightwarden --config config.yaml baseline create sentiment-model-v2.1",
		RunE: func(cmd *cobra.Command, args []string) error {
			return takeBaselines(cmd.Context(), g, args, "", "")
		},
	}
}

func newBaselineApprove(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "approve MODEL…", Short: "Vouch, as a person, for the model as it is now",
		Long: `Makes the model as it is now its baseline and records that you vouch for it.
See what that would accept first: weightwarden baseline diff MODEL`,
		Args: cobra.MinimumNArgs(1), Example: `  weightwarden --config config.yaml baseline approve sentiment-model-v2.1 --reason "release 2.1.1"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return takeBaselines(cmd.Context(), g, args, g.Actor, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why the model may be as it is; kept in the record")
	return cmd
}

// taken is one line of the result.
type taken struct {
	Model string `json:"model"`
	Path  string `json:"path"`
	check.BaselineInfo
}

func takeBaselines(ctx context.Context, g *globals, ids []string, who, reason string) error {
	return g.with(ctx, func(s *session) error {
		c, err := s.checker(ctx)
		if err != nil {
			return err
		}
		progress := newProgress(g)
		c.Progress = progress.hashing
		defer progress.done()
		out := []taken{}
		for _, id := range ids {
			m, err := s.model(id)
			if err != nil {
				return err
			}
			info, err := c.TakeBaseline(ctx, m.Model, who, reason)
			if err != nil {
				return err
			}
			out = append(out, taken{m.ID, m.Path, *info})
		}
		progress.done()
		return g.print(out, func(p *printer) {
			for _, t := range out {
				p.printf("%s  root %s  trusted: %s (%s)\n", artifact.Quote(t.Model), t.Root, yesNo(t.Trusted), t.Voucher)
			}
		})
	})
}

// history is one baseline of a model's history.
type history struct {
	Model       string        `json:"model"`
	Path        string        `json:"path"`
	Current     bool          `json:"current"`
	Trusted     bool          `json:"trusted"`
	Voucher     trust.Voucher `json:"voucher"`
	Who         string        `json:"who,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Root        string        `json:"root_digest"`
	Established string        `json:"established"`
	By          string        `json:"by"`
	// Revoked says why nobody vouches for it any more, if so.
	Revoked string `json:"revoked,omitempty"`
}

func histories(state *trust.State, model string) []history {
	var out []history
	list := state.Baselines[model]
	for n, b := range list {
		revoked := state.Revoked(b.Body)
		out = append(out, history{
			Model: model, Path: b.Body.Path, Current: n == len(list)-1, Trusted: b.Body.Trusted() && revoked == "", Revoked: revoked, Voucher: b.Body.Voucher,
			Who: b.Body.Who, Reason: b.Body.Reason, Root: b.Body.Root.String(), Established: stamp(b.Time), By: b.By,
		})
	}
	return out
}

func printHistory(p *printer, list []history) {
	for _, h := range list {
		mark := " "
		if h.Current {
			mark = "*"
		}
		p.printf("%s %s  %s  root %s  %s %s", mark, artifact.Quote(h.Model), h.Established, short(h.Root), h.Voucher, artifact.Quote(h.Who))
		if h.Reason != "" {
			p.printf("  (%s)", artifact.Quote(h.Reason))
		}
		if h.Revoked != "" {
			p.printf("  revoked: %s", oneLine(h.Revoked))
		}
		p.printf("\n")
	}
}

func newBaselineList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The baseline that holds for each model", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				state, err := s.trusted(cmd.Context())
				if err != nil {
					return err
				}
				out := []history{}
				for model := range state.Baselines {
					h := histories(state, model)
					out = append(out, h[len(h)-1])
				}
				slices.SortFunc(out, func(a, b history) int { return cmp.Compare(a.Model, b.Model) })
				return g.print(out, func(p *printer) {
					printHistory(p, out)
					p.printf("%s\n", plural(len(out), "baseline", "baselines"))
				})
			})
		},
	}
}

// shownBaseline is what baseline show prints.
type shownBaseline struct {
	Model   string          `json:"model"`
	History []history       `json:"history"`
	Files   []artifact.File `json:"files"`
}

func newBaselineShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show MODEL", Short: "A model's baseline, its files and its history", Args: cobra.ExactArgs(1),
		Example: "  weightwarden baseline show sentiment-model-v2.1",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				b, state, err := s.loadBaseline(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				out := shownBaseline{Model: b.Model, History: histories(state, b.Model), Files: b.Manifest.Files}
				return g.print(out, func(p *printer) {
					printHistory(p, out.History)
					for _, f := range out.Files {
						p.printf("  %-64s  %10s  %s\n", f.Digest, bytesText(f.Size), artifact.Quote(f.Path))
					}
				})
			})
		},
	}
}

func (s *session) loadBaseline(ctx context.Context, id string) (*baseline.Baseline, *trust.State, error) {
	state, err := s.trusted(ctx)
	if err != nil {
		return nil, nil, err
	}
	b, err := s.baselines().Load(ctx, state, id)
	return b, state, err
}
