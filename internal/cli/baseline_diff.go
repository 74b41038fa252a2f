package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

func newBaselineDiff(g *globals) *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use: "diff MODEL", Short: "What differs between the model and its baseline", Args: cobra.ExactArgs(1),
		Long: `Compares the model as it is now with its baseline: content, links, and the
attributes of its files. Exit code 1 when anything differs.

With --from an older baseline of the model takes the place of the current one;
with --to as well, two baselines are compared and the disk is not read. Both are
root digests, or their first digits, as baseline show prints them.`,
		Example: "  weightwarden --config config.yaml baseline diff sentiment-model-v2.1\n" +
			"  weightwarden --config config.yaml baseline diff sentiment-model-v2.1 --from 9f86d081",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBaselineDiff(cmd.Context(), g, args[0], from, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "compare with the older baseline that has this root `digest`")
	cmd.Flags().StringVar(&to, "to", "", "compare the baseline that has this root `digest` instead of the model")
	return cmd
}

// difference is what baseline diff prints.
type difference struct {
	Model      string                     `json:"model"`
	From       string                     `json:"from"`
	To         string                     `json:"to"`
	Changes    []manifest.Change          `json:"changes"`
	Attributes []manifest.AttributeChange `json:"attributes"`
	Problems   []manifest.Problem         `json:"problems"`
}

func runBaselineDiff(ctx context.Context, g *globals, id, from, to string) error {
	return g.with(ctx, func(s *session) error {
		b, now, err := s.differing(ctx, id, from, to)
		if err != nil {
			return err
		}
		out := difference{
			Model: id, From: b.Root.String(), To: now.Root().String(), Changes: append([]manifest.Change{}, manifest.Compare(b.Manifest, now)...),
			Attributes: append([]manifest.AttributeChange{}, manifest.CompareAttributes(b.Manifest, now)...),
			Problems:   append([]manifest.Problem{}, now.Problems...),
		}
		err = g.print(out, func(p *printer) {
			for _, i := range baseline.Compare(b, now, s.Now()) {
				p.printf("%s  %s\n", i.Type, oneLine(i.Description))
			}
			p.printf("%s, %s, %s\n", plural(len(out.Changes), "change", "changes"), plural(len(out.Attributes), "attribute", "attributes"),
				plural(len(out.Problems), "path not checked", "paths not checked"))
		})
		if err != nil {
			return err
		}
		return outcome(len(out.Changes)+len(out.Attributes) > 0, false, len(out.Problems) > 0)
	})
}

// differing returns the two sides of a comparison.
func (s *session) differing(ctx context.Context, id, from, to string) (*baseline.Baseline, *manifest.Manifest, error) {
	b, state, err := s.loadBaseline(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if from != "" {
		if b, err = s.baselines().Past(ctx, state, id, from); err != nil {
			return nil, nil, err
		}
	}
	if to != "" {
		other, err := s.baselines().Past(ctx, state, id, to)
		if err != nil {
			return nil, nil, err
		}
		return b, other.Manifest, nil
	}
	m, err := s.model(id)
	if err != nil {
		return nil, nil, err
	}
	now, err := layout.Detect(m.Path).Take(ctx, manifest.Options{})
	return b, now, err
}
