package cli

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/respond"
	"github.com/weightwarden/weightwarden/internal/signer"
)

type approveOptions struct {
	plan, key, out, statement, approval string
	password                            passwordFlags
	ttl                                 time.Duration
}

func (o *approveOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.plan, "plan", "", "`hash` of the plan, or a beginning of it that is unique, or a file of --plan-out")
	f.StringVar(&o.key, "key", "", "`file` with your private Ed25519 key: of ssh-keygen, or PKCS#8 in PEM")
	o.password.add(f)
	f.DurationVar(&o.ttl, "ttl", 0, "how long the approval holds (default: as long as is configured, 4h)")
	f.StringVar(&o.out, "out", "", "write the approval to this `file` and do not record it; --approval takes it")
	f.StringVar(&o.statement, "statement", "", "write the text to sign to this `file`, for: ssh-keygen -Y sign -n approval@weightwarden -f KEY FILE. Needs --as")
	f.StringVar(&o.approval, "approval", "", "record an approval that was signed elsewhere: a `file` of --out, or a statement with its signature behind it")
}

func newIncidentApprove(g *globals) *cobra.Command {
	var o approveOptions
	var as string
	cmd := &cobra.Command{
		Use: "approve ID", Short: "Let a plan of somebody else be carried out", Args: cobra.ExactArgs(1),
		Long: `Signs an approval with your key and puts it on record. An approval holds for one
plan of one incident, once, until it expires; it is void when the plan changes,
when something was done in between, and in every other record. Who asked for the
plan, and who carries it out, cannot approve it.

A plan is asked for with --plan-out or --apply of the command that makes it; see
the plans that wait: weightwarden incident show ID. Read the plan before you sign.

Refused (exit 5) when the approval is forged, expired, used, for another plan or
by somebody who may not; the refusal is on record too. See docs/people.md.`,
		Example: `  weightwarden incident approve INC-20261123-ABCDEFGH --plan 4fc82b26aecb --key ~/.ssh/id_ed25519
  weightwarden incident approve INC-20261123-ABCDEFGH --approval approval.txt`,
		RunE: func(cmd *cobra.Command, args []string) error { return runApprove(cmd.Context(), g, o, as, args[0]) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&as, "as", "", "with --statement: the `name` of who will sign")
	return cmd
}

// approved is what incident approve prints.
type approved struct {
	IncidentID string          `json:"incident_id"`
	Plan       artifact.Digest `json:"plan_hash"`
	Action     string          `json:"action"`
	By         string          `json:"by"`
	Expires    time.Time       `json:"expires"`
	Recorded   bool            `json:"recorded"`
}

func runApprove(ctx context.Context, g *globals, o approveOptions, as, id string) error {
	if n := boolCount(o.key != "", o.approval != "", o.statement != ""); n != 1 {
		return usage("incident approve: use one of --key, --approval and --statement")
	}
	return g.with(ctx, func(s *session) error {
		r := s.responder()
		if err := s.putPeople(ctx, r, id); err != nil {
			return err
		}
		if o.approval != "" {
			signed, err := readApproval(o.approval)
			if err != nil {
				return err
			}
			return s.recordApproval(ctx, r, id, signed)
		}
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		if inc.People == nil {
			return usage("nobody is named who could approve: one person approves their own plans with --apply").
				WithHint("name people under approvals: in the configuration; see docs/people.md")
		}
		hash, err := requestedPlan(inc, o.plan)
		if err != nil {
			return err
		}
		if o.statement != "" {
			return s.writeStatement(ctx, o, as, id, hash)
		}
		key, err := signer.LoadPersonKey(o.key, o.password.read(g))
		if err != nil {
			return err
		}
		signed, err := r.Sign(ctx, id, hash, key, approval.Approver, o.ttl)
		if err != nil {
			return err
		}
		if o.out != "" {
			if err := fsop.WriteFileAtomic(o.out, []byte(signed.String()), 0o600); err != nil {
				return fault.New(fault.Incomplete, "write approval: %w", err)
			}
			return s.printApproved(approved{id, signed.Plan, signed.Action, signed.By, signed.Expires, false})
		}
		return s.recordApproval(ctx, r, id, signed)
	})
}

func boolCount(values ...bool) (n int) {
	for _, v := range values {
		if v {
			n++
		}
	}
	return n
}

// putPeople puts the configured people on record before they are asked.
func (s *session) putPeople(ctx context.Context, r *respond.Responder, id string) error {
	inc, err := s.fold(ctx, id)
	if err != nil {
		return err
	}
	return r.PutPeople(ctx, inc)
}

func (s *session) recordApproval(ctx context.Context, r *respond.Responder, id string, signed approval.Signed) error {
	body, err := r.Approve(ctx, id, signed)
	if err != nil {
		return err
	}
	return s.printApproved(approved{id, body.Plan, body.Action, body.By, body.Expires, true})
}

func (s *session) printApproved(out approved) error {
	return s.print(out, func(p *printer) {
		p.printf("%s: %s approves to %s, plan %s, until %s\n", out.IncidentID, artifact.Quote(out.By), out.Action, short(out.Plan.String()), stamp(out.Expires))
		if !out.Recorded {
			p.printf("not recorded yet: weightwarden incident approve %s --approval FILE\n", out.IncidentID)
		}
	})
}

// writeStatement writes the text of an approval for somebody who signs it with
// another program.
func (s *session) writeStatement(ctx context.Context, o approveOptions, as, id string, hash artifact.Digest) error {
	inc, err := s.fold(ctx, id)
	if err != nil {
		return err
	}
	person, ok := inc.People.Roster.Named(as)
	if !ok {
		return usage("--as: %.80q is none of the people on record", as)
	}
	entries, err := s.ledger.Entries(ctx, id, 1)
	if err != nil {
		return err
	}
	req, _ := inc.Requested(hash)
	ttl := o.ttl
	if ttl <= 0 {
		ttl = inc.People.Roster.Lifetime()
	}
	text := incident.Signable(entries, req.Plan, person.Name, approval.Approver, s.Now(), ttl)
	if err := fsop.WriteFileAtomic(o.statement, []byte(text.Text()), 0o600); err != nil {
		return fault.New(fault.Incomplete, "write statement: %w", err)
	}
	return s.printApproved(approved{id, text.Plan, text.Action, text.By, text.Expires, false})
}

// requestedPlan returns the plan that a flag names, by its hash or by a file.
// One that was not asked for is found by its hash only to be refused.
func requestedPlan(inc *incident.Incident, name string) (artifact.Digest, error) {
	if name == "" {
		return artifact.Digest{}, usage("incident approve: which plan? use --plan HASH").
			WithHint("see the plans that wait: weightwarden incident show %s", inc.ID)
	}
	if data, err := os.ReadFile(name); err == nil {
		var plan action.Plan
		if err := json.Unmarshal(data, &plan); err != nil || plan.Incident == "" {
			return artifact.Digest{}, usage("--plan: %s holds no plan", artifact.Quote(name))
		}
		return plan.Hash(), nil
	}
	var found artifact.Digest
	for _, r := range inc.Requests {
		if len(name) < 8 || !strings.HasPrefix(r.Hash.Hex(), strings.ToLower(name)) || r.Hash == found {
			continue
		}
		if !found.IsZero() {
			return found, usage("--plan: several plans begin with %.70q: give more of the hash", name)
		}
		found = r.Hash
	}
	if !found.IsZero() {
		return found, nil
	}
	if hash, err := artifact.ParseDigest(name); err == nil {
		return hash, nil
	}
	return found, fault.New(fault.NotFound, "nobody has asked for a plan %.70q in %s", name, inc.ID).
		WithHint("see the plans that wait: weightwarden incident show %s", inc.ID)
}

type peopleOptions struct {
	actingOptions
	adopt  bool
	reason string
}

func newIncidentPeople(g *globals) *cobra.Command {
	var o peopleOptions
	cmd := &cobra.Command{
		Use: "people ID", Short: "Who takes part, in which role", Args: cobra.ExactArgs(1),
		Long: `Shows the people on record. They count for this incident, whatever the
configuration says by now. --adopt puts the configured people in their place,
which needs the approval of one of those on record.`,
		Example: `  weightwarden incident people INC-20261123-ABCDEFGH
  weightwarden incident people INC-20261123-ABCDEFGH --adopt --reason "Cy takes over from Bo"`,
		RunE: func(cmd *cobra.Command, args []string) error { return runPeople(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	o.addGlass(cmd.Flags(), false)
	cmd.Flags().BoolVar(&o.adopt, "adopt", false, "put the configured people in the place of those on record")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; kept in the record")
	return cmd
}

func runPeople(ctx context.Context, g *globals, o peopleOptions, id string) error {
	return g.with(ctx, func(s *session) error {
		if o.adopt {
			if o.reason == "" {
				return usage("incident people: --adopt needs --reason TEXT")
			}
			r, err := s.acting(o.actingOptions, o.reason)
			if err != nil {
				return err
			}
			if err := r.AdoptPeople(ctx, id, o.reason); err != nil {
				return err
			}
		}
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		roster, source := s.people, "configured"
		if inc.People != nil {
			roster, source = inc.People.Roster, "on record since "+stamp(inc.People.At)
		}
		out := struct {
			IncidentID string `json:"incident_id"`
			Source     string `json:"source"`
			approval.Roster
			Differs string `json:"differs,omitempty"`
		}{id, source, roster, s.responder().Strangers(inc)}
		return g.print(out, func(p *printer) {
			printPeople(p, roster)
			p.printf("%s\n", source)
			if out.Differs != "" {
				p.printf("note: %s\n", oneLine(out.Differs))
			}
		})
	})
}

func printPeople(p *printer, roster approval.Roster) {
	if roster.Empty() {
		p.printf("nobody is named: one person may do everything\n")
	}
	for _, person := range roster.People {
		roles := []string{}
		for _, r := range person.Roles {
			roles = append(roles, string(r))
		}
		p.printf("%s  %s  %s, %s\n", artifact.Quote(person.Name), strings.Join(roles, ", "),
			plural(len(person.Users), "user", "users"), plural(len(person.Keys), "key", "keys"))
	}
	for _, name := range approval.Actions() {
		if n := roster.Needs(name); n > 0 {
			p.printf("%-9s needs %s\n", name, plural(n, "approval", "approvals"))
		}
	}
}
