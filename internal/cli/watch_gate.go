package cli

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/watch"
)

// gate refuses the opening of files that do not match, where that is wanted.
// Whatever it refuses is looked at once.
func (s *session) gate(ctx context.Context, parts *sync.WaitGroup, live *check.Live, eyes *agent.Eyes) error {
	conf := s.conf.Watch.Gate
	if !conf.On {
		return nil
	}
	onDoubt := watch.Allow
	if conf.RefuseInDoubt {
		onDoubt = watch.Refuse
	}
	live.Vouches = true
	all := roots(live.Targets)
	g, err := watch.NewGate(all, watch.GateOptions{
		OnDoubt: onDoubt, Within: conf.Within, Log: s.log(),
		Judge: func(ctx context.Context, o watch.Opening) (watch.Answer, string) {
			switch v, why := live.Vouch(ctx, o.Root, o.Path, o.File); v {
			case check.Good:
				return watch.Allow, ""
			case check.Bad:
				return watch.Refuse, why
			default:
				return watch.Doubt, why
			}
		},
		Refused: func(o watch.Opening, answer watch.Answer, why string) {
			text := "opening refused"
			if answer == watch.Allow {
				text = "opening allowed in doubt"
			}
			//nolint:sloglint // one of two constants
			s.log().Warn(text, "model", o.Root, "file", o.Path, "reason", why, "pid", o.Process.PID,
				"executable", o.Process.Executable, "uid", o.Process.UID, "container", o.Process.Container)
			eyes.Touch(watch.Event{Root: o.Root, Path: o.Path, Kind: watch.Written})
		},
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return fault.New(fault.Invalid, "watch.gate: %w", err).
			WithHint("run it as root with CAP_SYS_ADMIN on Linux, or leave watch.gate out")
	} else if err != nil {
		return err
	}
	eyes.Came = func(root string) {
		if i := slices.IndexFunc(all, func(r watch.Root) bool { return r.ID == root }); i >= 0 {
			g.Follow(all[i])
		}
	}
	parts.Go(func() {
		if err := g.Run(ctx); err != nil {
			s.log().Error("the gate is open: nobody is refused any more", "error", err)
		}
	})
	return nil
}
