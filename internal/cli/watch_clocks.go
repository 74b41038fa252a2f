package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// deadlines returns what raises the alarms of the deadlines of all incidents,
// into the outbox where there is somebody to tell.
func (s *session) deadlines(set clock.Set, told bool) *agent.Clocks {
	c := &agent.Clocks{
		Boards: func(ctx context.Context, now time.Time) ([]clock.Board, error) { return s.boards(ctx, set, now) },
		Host:   s.host(), Log: s.log(),
	}
	if told {
		c.Outbox = s.db.Outbox()
	}
	return c
}

// boards returns the deadlines of every incident; one whose record cannot be
// read does not silence those of the others. A closed incident has deadlines
// too.
func (s *session) boards(ctx context.Context, set clock.Set, now time.Time) ([]clock.Board, error) {
	ids, err := s.ledger.Logs(ctx, incident.Prefix)
	if err != nil {
		return nil, err
	}
	var out []clock.Board
	var errs []error
	for _, id := range ids {
		inc, err := s.fold(ctx, id)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", artifact.Quote(id), err))
			continue
		}
		out = append(out, set.Evaluate(inc, now))
	}
	return out, errors.Join(errs...)
}
