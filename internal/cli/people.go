package cli

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
	"github.com/weightwarden/weightwarden/internal/respond"
	"github.com/weightwarden/weightwarden/internal/signer"
)

// actingOptions are the flags of every command that acts or decides: as whom,
// with whose approval, and past which gates.
type actingOptions struct {
	key        string
	password   passwordFlags
	approvals  []string
	breakGlass bool
	why        string
	wait       time.Duration
}

func (o *actingOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.key, "key", "", "act as the person whose private Ed25519 key is in this `file`, instead of as the user of the operating system")
	o.password.add(f)
	f.StringArrayVar(&o.approvals, "approval", nil, "`file` with an approval that was signed elsewhere (repeatable)")
	f.DurationVar(&o.wait, "wait", 0, "how long to wait while somebody else acts on the same; without it that is refused at once")
}

// addGlass adds the flags to go past gates. reason is where a command has
// such a flag already.
func (o *actingOptions) addGlass(f *pflag.FlagSet, reason bool) {
	f.BoolVar(&o.breakGlass, "break-glass", false, "go past the gates that allow it (G1, G6); all approvers are alerted, and it stands in the report")
	if reason {
		f.StringVar(&o.why, "reason", "", "why; needed with --break-glass")
	}
}

// acting returns the orchestrator on behalf of who the flags say.
func (s *session) acting(o actingOptions, why string) (*respond.Responder, error) {
	r := s.responder()
	r.Wait = o.wait
	switch {
	case o.breakGlass && why == "":
		return nil, usage("--break-glass needs --reason TEXT")
	case o.breakGlass:
		r.BreakGlass = why
	}
	if o.key != "" {
		key, err := signer.LoadPersonKey(o.key, o.password.read(s.globals))
		if err != nil {
			return nil, err
		}
		r.Key = &approval.Key{Ed25519: key.Public().(ed25519.PublicKey)}
	}
	for _, path := range o.approvals {
		signed, err := readApproval(path)
		if err != nil {
			return nil, err
		}
		r.Signed = append(r.Signed, signed)
	}
	return r, nil
}

func readApproval(path string) (approval.Signed, error) {
	text, err := readCheckpoint(path)
	if err != nil {
		return approval.Signed{}, err
	}
	signed, err := approval.Parse(text)
	if err != nil {
		return signed, fault.New(fault.Invalid, "%s: %w", artifact.Quote(path), err).
			WithHint("make one: weightwarden incident approve ID --plan HASH --key FILE --out FILE")
	}
	return signed, nil
}

// roster returns who takes part, as configured, with the keys in files.
func (s *session) roster() (approval.Roster, error) {
	roster := s.conf.Approvals.Roster
	roster.People = slices.Clone(roster.People)
	for n, p := range roster.People {
		p.Keys = slices.Clone(p.Keys)
		for _, file := range s.conf.Approvals.KeyFiles[p.Name] {
			key, err := signer.LoadPersonPublic(file)
			if err != nil {
				return roster, err
			}
			if owner, ok := roster.ByKey(key); ok && owner.Name != p.Name {
				return roster, fault.New(fault.Invalid, "approvals: %s and %s have the same key", artifact.Quote(owner.Name), artifact.Quote(p.Name))
			}
			p.Keys = append(p.Keys, key)
		}
		roster.People[n] = p
	}
	return roster, nil
}

// responder returns the orchestrator over this state directory.
func (s *session) responder() *respond.Responder {
	executors := map[string]action.Executor{
		respond.RecordDriver: &respond.Record{Ledger: s.ledger, Baselines: s.baselines(), Actor: s.Actor, Now: s.Now},
	}
	for _, d := range s.drivers {
		executors[d.Name()] = d
	}
	return &respond.Responder{
		Ledger: s.ledger, Executors: executors, Actor: s.Actor, Now: s.Now, Journal: s.Journal, Roster: s.people, Verify: s.stillGood,
		Leases: s.db.Leases(), Holder: fmt.Sprintf("%s, process %d", s.Actor, os.Getpid()), Alert: s.alertPerson,
		Clock: fsop.ClockNote, Tries: respond.Tries{Settle: s.conf.Response.Settle, Jitter: s.jitter},
		Limits: respond.Limits{
			Replicas: s.conf.Response.ReplicasPerMinute, Percent: s.conf.Response.ModelsPercent, Targets: len(s.conf.Models), Isolated: s.isolated,
		},
		Lock: func(name string) (func() error, error) {
			dir := filepath.Join(s.dir, "locks")
			if err := fsop.PrivateDir(dir); err != nil {
				return nil, err
			}
			return fsop.Lock(filepath.Join(dir, name))
		},
	}
}

// jitter spreads the tries of many processes.
func (s *session) jitter() float64 {
	var b [1]byte
	if _, err := s.Random.Read(b[:]); err != nil {
		return 1
	}
	return float64(b[0]) / 255
}

// alertChannel is the target in the outbox that the agent shares out among the
// receivers.
const alertChannel = "alert_webhook"

// alertPerson queues an alert about broken glass. Everybody gets it who gets
// the worst ones.
func (s *session) alertPerson(ctx context.Context, to, key, text string) error {
	return s.alertPeople(ctx, "gates were gone past: for "+artifact.Quote(to), key, text)
}

// alertPeople queues an alert about what was done in an incident.
func (s *session) alertPeople(ctx context.Context, title, key, text string) error {
	now := s.Now()
	payload, err := json.Marshal(notify.Alert{
		Key: key, Group: "people", Status: notify.Firing, Severity: finding.Critical, Critical: true, Source: "weightwarden",
		Title: title, Text: text, At: now, Host: s.host(),
	})
	if err != nil {
		return fmt.Errorf("encode alert: %w", err)
	}
	_, err = s.db.Outbox().Add(ctx, outbox.Item{
		Key: key, Target: alertChannel, Group: "people", Priority: outbox.Critical, Payload: payload, CreatedAt: now, NextAt: now,
	})
	return err
}

// isolated returns the models that open incidents hold isolated.
func (s *session) isolated(ctx context.Context) ([]string, error) {
	ids, err := s.ledger.Logs(ctx, incident.Prefix)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, id := range ids {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return nil, err
		}
		if inc.State == incident.Done {
			continue
		}
		for _, m := range inc.Models {
			if isolatedIn(inc, m) && !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// isolatedIn reports whether the last plan for a model that ended was to
// isolate it.
func isolatedIn(inc *incident.Incident, model string) bool {
	isolated := false
	for n := range inc.Plans {
		p := &inc.Plans[n]
		switch {
		case p.Model != model || !p.Finished():
		case p.Action == action.Isolate:
			isolated = true
		case p.Action == action.Rollback:
			isolated = false
		}
	}
	return isolated
}
