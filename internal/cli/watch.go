package cli

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/watch"
)

const watchLong = `Checks everything at once, then looks at whatever somebody touches within
milliseconds, and at everything again every check_interval_seconds, until it
gets SIGTERM or SIGINT. Small files are read in every cycle,
large ones by turn, so that none was last read longer ago than
watch.full_pass_age. It refuses to start when hashing.rate is too low for that.

The kernel tells what is touched (inotify), and with privileges who did it
(fanotify). What it does not see, as on network file systems, is looked at every
watch.poll_interval. Who opens a large file for writing waits until the watcher
knows of it (a lease), which is for a moment.

What is new, changed or resolved is sent to alert_webhook as {"text",
"severity"}; an alert is kept in the state directory and tried again until it is
delivered, over restarts too, and the same finding is not sent twice while it
lasts. Every verdict that differs from the one before is recorded; see:
weightwarden incident verify watch

So are the alarms of the deadlines of incidents, at 50, 80, 95 and 100 percent
of their time: what came due while nobody watched is sent late and says so.

Models are isolated without a person only where a policy under auto_contain: in
the configuration says so; see docs/people.md.

With models under cluster: in the configuration it tells in the Kubernetes
cluster that --kubeconfig and --context name, or that its pod is in, what it sees
of them: a signed verdict in a report, the status of a ProtectedModel, and a
lease that says which verdicts still stand. What fails there is tried again and
counted in the metrics, and holds up nothing; see docs/kubernetes.md.

SIGHUP reads the configuration again; a bad one is refused with an error in the
log, and the one before still holds. Under operations: it serves /metrics,
/healthz and /readyz. Started by systemd it says when it is ready, reloading
and alive. At SIGTERM a delivery under way has five seconds to end.

With -o json the outcome of every cycle, and of every look in between that found
something, is one line on standard output.`

func newWatch(g *globals) *cobra.Command {
	var p presence
	cmd := &cobra.Command{
		Use: "watch", Short: "Watch the models and alert about what is new",
		Long: watchLong, Args: cobra.NoArgs,
		Example: "  weightwarden --config config.yaml --log-level info watch\n  weightwarden watch status\n  weightwarden --config config.yaml watch --node node-1",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runWatch(cmd.Context(), g, p) },
	}
	p.add(cmd.Flags())
	cmd.AddCommand(newWatchStatus(g))
	return cmd
}

func runWatch(ctx context.Context, g *globals, p presence) error {
	return g.withPresence(ctx, p, func(s *session) error {
		if err := s.mustConfig(); err != nil {
			return err
		}
		unlock, err := s.lockWatch()
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }()
		return s.watchOn(ctx)
	})
}

// lockWatch keeps a second watcher away from the state directory.
func (s *session) lockWatch() (unlock func() error, err error) {
	dir := filepath.Join(s.dir, "locks")
	if err := fsop.PrivateDir(dir); err != nil {
		return nil, err
	}
	unlock, err = fsop.Lock(filepath.Join(dir, "watch"))
	if fault.KindOf(err) == fault.Conflict {
		return nil, fault.New(fault.Conflict, "another watcher uses the state directory %s", artifact.Quote(s.dir)).
			WithHint("see what it does: weightwarden watch status")
	}
	return unlock, err
}

// watch watches until ctx ends.
func (s *session) watch(ctx context.Context, plan watchPlan, o *operator) error {
	live := plan.live
	eyes := &agent.Eyes{
		Watcher: watch.New(roots(live.Targets), watch.Options{Poll: s.conf.Watch.Poll, Who: s.Root, Log: s.log()}),
		Looker:  live, PassAge: s.conf.Watch.FullPassAge, Rate: s.conf.Hashing.Rate,
	}
	a := &agent.Agent{
		Checker: live, Memory: s.db.Deferred().Documents(), Sync: s.db.Sync, Interval: s.conf.CheckInterval,
		MinSeverity: max(s.conf.Alerts.MinSeverity, finding.Low), Log: s.log(),
		Eyes: eyes, Record: s.verdicts(), Pulse: s.pulse(o.see), Host: s.host(),
	}
	a.Delivery = agent.NewDelivery(s.db.Outbox(), plan.to, s.log())
	a.Delivery.Grace, a.Delivery.Count = deliveryGrace, o.count
	if least := s.conf.Watch.Declare; least > 0 {
		a.Declare = &declarer{session: s, least: least, method: "weightwarden watch"}
	}
	a.Broadcast = s.broadcast(plan.voice, o)
	if s.json() {
		a.Report = func(r *check.Report) { _ = s.printLine(r) }
	}
	ctx, stop := context.WithCancel(ctx)
	var guards sync.WaitGroup
	defer guards.Wait()
	defer stop()
	guards.Go(func() { s.deadlines(plan.clocks, a.Delivery.Tells()).Run(ctx) })
	if len(s.conf.AutoContain) > 0 {
		found := make(chan *check.Report, 1)
		a.Respond = func(r *check.Report) { offer(found, r) }
		guards.Go(func() { s.containing(ctx, found) })
	}
	s.guard(ctx, &guards, live, eyes)
	if err := s.gate(ctx, &guards, live, eyes); err != nil {
		return err
	}
	return a.Run(ctx)
}

// roots are what is watched: the trees that the models are in.
func roots(targets []check.Target) []watch.Root {
	out := make([]watch.Root, 0, len(targets))
	for _, t := range targets {
		out = append(out, watch.Root{ID: t.ID, Tree: layout.Detect(t.Path).Source()})
	}
	return out
}

// verdicts is the record of verdicts, with the cycles that an earlier watcher
// had not written down when it ended.
func (s *session) verdicts() *agent.Record {
	r := &agent.Record{Ledger: s.db.Deferred().Ledger(), Actor: s.Actor}
	if h, err := s.heartbeat(); err == nil {
		r.Take(h.Stayed)
	}
	return r
}

// guard gives files back to writers as soon as the kernel says that one waits,
// and looks at what they do.
func (s *session) guard(ctx context.Context, parts *sync.WaitGroup, live *check.Live, eyes *agent.Eyes) {
	const least, mostFiles = 4, 2048
	all, list := map[string]*manifest.Guard{}, []*manifest.Guard{}
	for _, t := range live.Targets {
		g := &manifest.Guard{
			Most:   max(least, min(fsop.OpenFiles()/4, mostFiles)/len(live.Targets)),
			Broken: func(path string) { eyes.Touch(watch.Event{Root: t.ID, Path: path, Kind: watch.Changed}) },
		}
		all[t.ID] = g
		list = append(list, g)
	}
	live.Hashing.Guards = all
	parts.Go(func() { manifest.RunGuards(ctx, s.LeaseBreaks, list...) })
}

// heartbeatFile holds the watcher's sign of life, in the state directory.
const heartbeatFile = "watch.json"

func (s *session) pulse(see func(agent.Heartbeat)) *agent.Pulse {
	return agent.NewPulse(func(h agent.Heartbeat) error {
		see(h)
		data, err := agent.SealHeartbeat(h, s.key)
		if err != nil {
			return err
		}
		return fsop.WriteFileAtomic(filepath.Join(s.dir, heartbeatFile), data, 0o600)
	}, s.Now(), os.Getpid(), s.Version, s.Actor)
}

// heartbeat reads the last sign of life.
func (s *session) heartbeat() (agent.Heartbeat, error) {
	return readHeartbeat(s.dir, s.key.Public())
}

func readHeartbeat(dir string, key evidence.VerifierKey) (agent.Heartbeat, error) {
	data, err := os.ReadFile(filepath.Join(dir, heartbeatFile))
	if err != nil {
		return agent.Heartbeat{}, fault.New(fault.Incomplete, "read the watcher's sign of life: %w", err).
			WithHint("start it: weightwarden watch")
	}
	return agent.OpenHeartbeat(data, key)
}
