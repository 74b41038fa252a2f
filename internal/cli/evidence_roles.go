package cli

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/respond"
)

// personOptions are the flags of a command that only asks who acts.
type personOptions struct {
	key      string
	password passwordFlags
}

func (o *personOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.key, "key", "", "act as the person whose private Ed25519 key is in this `file`, instead of as the user of the operating system")
	o.password.add(f)
}

// The roles that may take evidence. Who works on a case looks into what was
// sealed; to give it out of the house is for who answers for the case.
func takes() []approval.Role { return []approval.Role{approval.Responder, approval.Legal} }
func gives() []approval.Role { return []approval.Role{approval.Commander, approval.Legal} }

// handler is who handles evidence.
type handler struct {
	*respond.Responder
	person string
}

// record tells the record what was done with evidence. A closed incident takes
// it too: evidence goes on being handled.
func (h handler) record(ctx context.Context, id string, c incident.Custody) error {
	c.Person, c.Clock = h.person, fsop.ClockNote()
	return h.Record(ctx, id, h.Draft(incident.KindCustody, c))
}

// handling returns who the flags say, if that person has one of the roles. A
// refusal is an entry.
func (s *session) handling(ctx context.Context, inc *incident.Incident, o personOptions, what string, roles []approval.Role) (handler, error) {
	r, err := s.acting(actingOptions{key: o.key, password: o.password}, "")
	if err != nil {
		return handler{}, err
	}
	return handler{r, r.Person(inc)}, r.May(ctx, inc, "G1", what, roles...)
}

// exporting is handling for a record that may have been altered: then it does
// not say any more who takes part, the configuration does, and it takes no
// entry. A record that is not there is left to the export to name.
func (s *session) exporting(ctx context.Context, id string, o personOptions) (handler, error) {
	inc, err := s.fold(ctx, id)
	switch {
	case err == nil:
		return s.handling(ctx, inc, o, "export", gives())
	case !errors.Is(err, evidence.ErrAltered) && fault.KindOf(err) != fault.Incomplete && fault.KindOf(err) != fault.NotFound:
		return handler{}, err
	}
	r, err := s.acting(actingOptions{key: o.key, password: o.password}, "")
	if err != nil {
		return handler{}, err
	}
	inc = &incident.Incident{}
	if reason, hint := r.Lacks(inc, gives()...); reason != "" {
		return handler{}, fault.New(fault.Refused, "export refused by gate G1: %s", reason).WithHint("%s", hint)
	}
	return handler{r, r.Person(inc)}, nil
}
