package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/trust"
)

type incidentVerifyOptions struct {
	checkpoints []string
	key, roots  string
}

func (o *incidentVerifyOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.checkpoints, "checkpoint", nil, "`file` with a checkpoint that was exported earlier (repeatable)")
	f.StringVar(&o.key, "key", "", "verifier key to rely on instead of the one in the state directory (content of state.pub)")
	f.StringVar(&o.roots, "timestamp-roots", "", "PEM `file` of the root certificates of time stamping authorities to trust")
}

func newIncidentVerify(g *globals) *cobra.Command {
	var o incidentVerifyOptions
	cmd := &cobra.Command{
		Use: "verify ID", Short: "Has the record or the evidence been altered?", Args: cobra.ExactArgs(1),
		Long: `Checks the chain of the record, its signed checkpoints, the signatures of
approvals and every sealed item in the vault, and names what was altered, removed,
reordered, inserted, cut off or forged.
Entries that were cut off together with their checkpoints show only against a
checkpoint that was kept elsewhere: weightwarden incident checkpoint ID > FILE

ID "host" stands for the host's record of baselines and deny-list, "watch" for
the watcher's record of verdicts.

Time stamps in the record are verified with --timestamp-roots, at the time that
they name; without it they are shown and called unverified.

Exit code 1 when anything was altered, 3 when the record is intact but has a time
stamp that does not verify.`,
		Example: "  weightwarden incident verify INC-20261123-ABCDEFGH --checkpoint inc.checkpoint",
		RunE:    func(cmd *cobra.Command, args []string) error { return runIncidentVerify(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// verification is what incident verify prints.
type verification struct {
	IncidentID string             `json:"incident_id"`
	Verdict    string             `json:"verdict"`
	Entries    int                `json:"entries"`
	Items      int                `json:"evidence_items"`
	Key        string             `json:"key"`
	Problems   []evidence.Problem `json:"problems"`
	Evidence   []damaged          `json:"evidence"`
	Stamps     []stamped          `json:"time_stamps,omitempty"`
	// untrusted says that a time stamp does not verify.
	untrusted bool
}

// damaged is a sealed item that is not in the vault as it was sealed.
type damaged struct {
	SHA256 artifact.Digest `json:"sha256"`
	Name   string          `json:"name"`
	Detail string          `json:"detail"`
}

func runIncidentVerify(ctx context.Context, g *globals, o incidentVerifyOptions, id string) error {
	if id != trust.Log && id != agent.VerdictLog {
		if err := incident.CheckID(id); err != nil {
			return err
		}
	}
	return g.with(ctx, func(s *session) error {
		out, err := s.verifyRecord(ctx, o, id)
		if err != nil {
			return err
		}
		if err := g.print(out, func(p *printer) { printRecordVerification(p, out) }); err != nil {
			return err
		}
		return outcome(out.Verdict == "altered", out.untrusted, false)
	})
}

func noRecord(id string) error {
	return fault.New(fault.NotFound, "there is no record %s", artifact.Quote(id)).WithHint("list the incidents: weightwarden incident list")
}

func (s *session) verifyRecord(ctx context.Context, o incidentVerifyOptions, id string) (*verification, error) {
	key := s.key.Public()
	if o.key != "" {
		var err error
		if key, err = evidence.ParseVerifierKey(o.key); err != nil {
			return nil, usage("--key: %v", err)
		}
	}
	state, err := s.ledger.State(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, path := range o.checkpoints {
		note, err := readCheckpoint(path)
		if err != nil {
			return nil, err
		}
		state.Trusted = append(state.Trusted, note)
	}
	if len(state.Rows)+len(state.Notes)+len(state.Trusted) == 0 {
		return nil, noRecord(id)
	}
	out := &verification{
		IncidentID: id, Verdict: "intact", Entries: len(state.Rows), Key: key.String(),
		Problems: append([]evidence.Problem{}, evidence.VerifyLog(state, key)...), Evidence: []damaged{},
	}
	if id != trust.Log {
		out.Problems = append(out.Problems, incident.VerifyApprovals(id, state.Rows)...)
	}
	if err := out.stamps(state, o.roots); err != nil {
		return nil, err
	}
	s.verifyVault(ctx, state, out)
	if len(out.Problems)+len(out.Evidence) > 0 {
		out.Verdict = "altered"
	}
	return out, ctx.Err()
}

// stamps verifies the time stamps in the record.
func (v *verification) stamps(state evidence.LogState, roots string) error {
	var list []incident.Stamped
	for _, row := range state.Rows {
		if !bytes.Contains(row.Raw, []byte(incident.KindStamped)) {
			continue
		}
		e, err := evidence.ParseEntry(row.Raw)
		if err != nil || e.Kind != incident.KindStamped {
			continue // what cannot be read is among the problems already
		}
		var body incident.Stamped
		if err := e.Decode(&body); err != nil {
			v.Problems = append(v.Problems, evidence.Problem{Kind: evidence.Unreadable, Seq: e.Seq, Detail: fmt.Sprintf("entry %d: its time stamp cannot be read", e.Seq)})
			continue
		}
		list = append(list, body)
	}
	out, good, err := verifyStamps(list, roots)
	v.Stamps, v.untrusted = out, !good
	if !good {
		v.Verdict = "untrusted"
	}
	return err
}

// verifyVault checks every item that the record says was sealed. Each object
// is read once, however often it was sealed.
func (s *session) verifyVault(ctx context.Context, state evidence.LogState, out *verification) {
	seen := map[artifact.Digest]bool{}
	for _, row := range state.Rows {
		e, err := evidence.ParseEntry(row.Raw)
		if err != nil || e.Kind != incident.KindSealed {
			continue // what cannot be read is among the problems already
		}
		var item evidence.Item
		if err := e.Decode(&item); err != nil || seen[item.SHA256] || ctx.Err() != nil {
			continue
		}
		seen[item.SHA256] = true
		out.Items++
		if err := s.vault.Verify(ctx, item.SHA256, item.Size); err != nil {
			out.Evidence = append(out.Evidence, damaged{item.SHA256, item.Name, err.Error()})
		}
	}
}

// maxCheckpoint bounds what is read as a checkpoint, in bytes.
const maxCheckpoint = 64 << 10

func readCheckpoint(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.New(fault.Invalid, "read checkpoint: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxCheckpoint))
	if err != nil {
		return "", fault.New(fault.Incomplete, "read checkpoint: %w", err)
	}
	return string(data), nil
}

func printRecordVerification(p *printer, v *verification) {
	p.printf("%s  %s: %s, %s\n", v.IncidentID, v.Verdict, plural(v.Entries, "entry", "entries"), plural(v.Items, "sealed item", "sealed items"))
	for _, problem := range v.Problems {
		p.printf("  %-10s  %s\n", problem.Kind, oneLine(problem.Detail))
	}
	for _, d := range v.Evidence {
		p.printf("  evidence    %s: %s\n", artifact.Quote(d.Name), oneLine(d.Detail))
	}
	printStamps(p, v.Stamps)
	p.printf("verified with %s\n", v.Key)
}

func newIncidentCheckpoint(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint ID", Short: "Print the newest signed checkpoint, to be kept elsewhere", Args: cobra.ExactArgs(1),
		Long: `Prints the newest signed checkpoint of the record (C2SP tlog-checkpoint). Kept on
another machine, or on paper, it proves later that nothing before it was cut off.`,
		Example: "  weightwarden incident checkpoint INC-20261123-ABCDEFGH > inc.checkpoint",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				note, err := s.ledger.Checkpoint(cmd.Context(), args[0])
				if fault.KindOf(err) == fault.NotFound {
					return noRecord(args[0])
				}
				if err != nil {
					return err
				}
				out := struct {
					IncidentID string `json:"incident_id"`
					Checkpoint string `json:"checkpoint"`
					Key        string `json:"key"`
				}{args[0], note, s.key.Public().String()}
				return g.print(out, func(p *printer) { p.printf("%s", note) })
			})
		},
	}
}
