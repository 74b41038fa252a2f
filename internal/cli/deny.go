package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// subjects maps the word on the command line to what is denied.
var subjects = map[string]trust.Subject{"root": trust.Root, "file": trust.File, "key": trust.Key, "identity": trust.Identity}

func newDeny(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "deny", Short: "The deny-list of models, files, keys and identities",
		Long: `What is on the deny-list is an indicator wherever it is found, does not verify
and is no version to roll back to. A baseline that it vouched for is trusted by
nobody from then on. An identity is a signer as verify names it, or a person as
baseline show does.`,
	}
	cmd.AddCommand(newDenyChange(g, true), newDenyChange(g, false), newDenyList(g))
	return cmd
}

func newDenyChange(g *globals, add bool) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDenyChange(cmd.Context(), g, add, args[0], args[1], reason)
		},
	}
	if add {
		cmd.Use, cmd.Short = "add root|file|key|identity VALUE", "Put a root digest, a file digest, a key's hint or a name on the deny-list"
		cmd.Example = `  weightwarden deny add root 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --reason "poisoned release"`
	} else {
		cmd.Use, cmd.Short = "remove root|file|key|identity VALUE", "Take something off the deny-list"
		cmd.Example = `  weightwarden deny remove root 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --reason "wrong digest"`
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the record")
	return cmd
}

func runDenyChange(ctx context.Context, g *globals, add bool, word, value, reason string) error {
	subject, ok := subjects[word]
	if !ok {
		return usage("deny: no subject %.40q: use root, file, key or identity", word)
	}
	value, err := deniedValue(subject, value)
	if err != nil {
		return err
	}
	return g.with(ctx, func(s *session) error {
		state, err := s.trusted(ctx)
		if err != nil {
			return err
		}
		_, listed := state.Denied(subject, value)
		switch {
		case add && !listed:
			err = s.recordTrust(ctx, trust.KindDenied, trust.Denial{Subject: subject, Value: value, Reason: reason})
		case !add && listed:
			err = s.recordTrust(ctx, trust.KindAllowed, trust.Lifted{Subject: subject, Value: value, Reason: reason})
		case !add:
			return fault.New(fault.NotFound, "deny remove: %s %s is not on the deny-list", subject, value).
				WithHint("see what is: weightwarden deny list")
		}
		if err != nil {
			return err
		}
		return listDenials(ctx, s)
	})
}

// maxIdentity is more than any name of a signer takes.
const maxIdentity = 1024

// deniedValue brings a value into the one form in which it is looked up.
func deniedValue(subject trust.Subject, value string) (string, error) {
	if subject == trust.Identity {
		if value == "" || len(value) > maxIdentity || artifact.Quote(value) != value {
			return "", usage("deny: an identity is a name of 1 to %d printable characters", maxIdentity)
		}
		return value, nil
	}
	digest, err := artifact.ParseDigest(strings.TrimPrefix(value, "key:"))
	if err != nil {
		return "", usage("deny: %v", err).WithHint("weightwarden digest PATH prints the root digest of a model; a file's is its SHA-256")
	}
	return digest.String(), nil
}

func newDenyList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "What is on the deny-list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(s *session) error { return listDenials(cmd.Context(), s) })
		},
	}
}

// denial is one line of the deny-list.
type denial struct {
	trust.Denial
	At time.Time `json:"at"`
	By string    `json:"by"`
}

func listDenials(ctx context.Context, s *session) error {
	state, err := s.trusted(ctx)
	if err != nil {
		return err
	}
	out := []denial{}
	for _, d := range state.Denials() {
		out = append(out, denial{d.Body, d.Time, d.By})
	}
	return s.print(out, func(p *printer) {
		for _, d := range out {
			p.printf("%s  %-11s  %s  %s  %s\n", stamp(d.At), d.Subject, d.Value, artifact.Quote(d.By), artifact.Quote(d.Reason))
		}
		p.printf("%s on the deny-list\n", plural(len(out), "thing", "things"))
	})
}
