package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/announce"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/clock"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// deliveryGrace is how long a delivery under way may go on after the end.
const deliveryGrace = 5 * time.Second

// watchPlan is what a configuration makes of the watcher.
type watchPlan struct {
	live   *check.Live
	to     agent.Receivers
	clocks clock.Set
	voice  *announce.Announcer
}

// plan makes a watcher of the configuration, or says why it cannot.
func (s *session) plan(ctx context.Context) (watchPlan, error) {
	to, err := s.receivers(s.conf)
	if err != nil {
		return watchPlan{}, err
	}
	clocks, err := clockSet(s.conf)
	if err != nil {
		return watchPlan{}, err
	}
	voice, err := s.announcer()
	if err != nil {
		return watchPlan{}, err
	}
	c, err := s.checker(ctx)
	if err != nil {
		return watchPlan{}, err
	}
	c.Baselines.Decoded = &baseline.Decoded{}
	live := &check.Live{
		Checker: c, Small: check.DefaultSmall, DriftEvery: s.conf.Watch.DriftEvery, PackagesEvery: s.conf.Watch.PackagesEvery,
	}
	volume, err := live.Survey(ctx)
	if err != nil {
		return watchPlan{}, err
	}
	err = check.Feasible(volume, s.conf.Hashing.Rate, s.conf.CheckInterval, s.conf.Watch.FullPassAge)
	return watchPlan{live, to, clocks, voice}, err
}

// watchOn watches by one configuration after the other until ctx ends.
func (s *session) watchOn(ctx context.Context) error {
	plan, err := s.plan(ctx)
	if err != nil {
		return err
	}
	o := newOperator(s)
	ctx, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	if err := o.serve(ctx, &parts, s.conf.Operations); err != nil {
		return err
	}
	parts.Go(func() { o.feed(ctx) })
	var reloads <-chan os.Signal
	if s.Reloads != nil {
		reloads = s.Reloads()
	}
	for {
		o.tell(o.manager.Ready(ctx, fmt.Sprintf("watching %d models", len(s.conf.Models))))
		next, err := s.watchUntil(ctx, plan, o, reloads)
		if err != nil || next.session == nil || ctx.Err() != nil {
			o.tell(o.manager.Stopping(context.WithoutCancel(ctx)))
			return err
		}
		s, plan = next.session, next.plan
	}
}

// tell notes what could not be told the service manager.
func (o *operator) tell(err error) {
	if err != nil {
		o.log().Warn("service manager", "error", err)
	}
}

// nextWatch is the watcher that follows a reload.
type nextWatch struct {
	session *session
	plan    watchPlan
}

// watchUntil watches until ctx ends or a new configuration was accepted.
func (s *session) watchUntil(ctx context.Context, plan watchPlan, o *operator, reloads <-chan os.Signal) (next nextWatch, err error) {
	ctx, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	if err := o.call(ctx, &parts, s.conf.Alerts.Heartbeat); err != nil {
		return next, err
	}
	parts.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reloads:
			}
			if n, err := s.reload(ctx, o); err == nil {
				next = n
				stop()
				return
			}
		}
	})
	err = s.watch(ctx, plan, o)
	stop()
	parts.Wait()
	return next, err
}

// reload reads the configuration again. A bad one changes nothing, loudly.
func (s *session) reload(ctx context.Context, o *operator) (nextWatch, error) {
	o.tell(o.manager.Reloading(ctx))
	conf, err := s.loadConfig()
	fresh := *s
	fresh.conf = conf
	if err == nil {
		fresh.drivers = driversOf(conf)
		fresh.people, err = fresh.roster()
	}
	var plan watchPlan
	if err == nil {
		err = fresh.mustConfig()
	}
	if err == nil && conf.Operations != s.conf.Operations {
		s.log().Warn("operations: takes effect with the next start")
	}
	if err == nil {
		plan, err = fresh.plan(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return nextWatch{}, errors.Join(err, ctx.Err())
	}
	o.reloaded(err == nil)
	if err != nil {
		s.log().Error("new configuration refused: the one before still holds", "error", err, "hint", fault.HintOf(err))
		o.tell(o.manager.Ready(ctx, "new configuration refused: the one before still holds"))
		return nextWatch{}, err
	}
	s.log().Info("new configuration", "models", len(conf.Models), "receivers", len(plan.to.Transports))
	return nextWatch{&fresh, plan}, nil
}
