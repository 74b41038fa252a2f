package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/metrics"
	"github.com/weightwarden/weightwarden/internal/outbox"
	"github.com/weightwarden/weightwarden/internal/systemd"
)

// operator shows others how the watcher is: in metrics, to probes, to the
// service manager and to a dead man's switch.
type operator struct {
	*session
	manager *systemd.Notifier

	mu      sync.Mutex
	beat    agent.Heartbeat
	alerts  map[[2]string]int // by outcome and receiver
	reloads map[string]int    // by result
	lastOK  bool              // of the last reload

	told told // in the cluster
}

func newOperator(s *session) *operator {
	return &operator{
		session: s, manager: systemd.New(s.Getenv, os.Getpid()), lastOK: true,
		alerts: map[[2]string]int{}, reloads: map[string]int{"accepted": 0, "refused": 0},
	}
}

// see is told every sign of life.
func (o *operator) see(h agent.Heartbeat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.beat = h
}

// count is told what became of alerts.
func (o *operator) count(outcome, receiver string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.alerts[[2]string{outcome, receiver}] += n
}

func (o *operator) reloaded(ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastOK = ok
	if ok {
		o.reloads["accepted"]++
	} else {
		o.reloads["refused"]++
	}
}

// ready returns why the watcher cannot be relied on, or "".
func (o *operator) ready(now time.Time) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.beat.LastCycle.IsZero() {
		return "the first check is not done"
	}
	if silence := o.beat.Silence(now); silence != "" {
		return silence
	}
	return ""
}

// serve answers at the configured addresses until ctx ends. That one cannot be
// listened at is an error before anything is watched.
func (o *operator) serve(ctx context.Context, parts *sync.WaitGroup, c config.Operations) error {
	for _, one := range []struct {
		address string
		handler http.Handler
	}{{c.Listen, o.handler()}, {c.Pprof, profiles()}} {
		if one.address == "" {
			continue
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", one.address)
		if err != nil {
			return fault.New(fault.Invalid, "listen at %s: %w", one.address, err).WithHint("choose another address under operations:")
		}
		o.log().Info("listening", "address", l.Addr().String())
		server := &http.Server{Handler: one.handler, ReadTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
		parts.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				o.log().Error("no longer listening", "error", err)
			}
		})
		parts.Go(func() {
			<-ctx.Done()
			end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer stop()
			if server.Shutdown(end) != nil {
				_ = server.Close()
			}
		})
	}
	return nil
}

func (o *operator) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := o.ready(time.Now()); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", metrics.ContentType)
		_, _ = o.page(r.Context()).WriteTo(w)
	})
	return mux
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// page writes the metrics.
func (o *operator) page(ctx context.Context) *metrics.Page {
	p := &metrics.Page{}
	stats, err := o.db.Outbox().Stats(ctx)
	ready := o.ready(time.Now()) == ""
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.beat
	p.Gauge("weightwarden_build_info", "The program's version.", []metrics.Sample{{Labels: []string{"version", o.Version}, Value: 1}})
	p.Gauge("weightwarden_ready", "1 when checks take place as configured.", metrics.One(number(ready)))
	p.Counter("weightwarden_cycles_total", "Cycles done since the start.", metrics.One(float64(h.Cycles)))
	p.Gauge("weightwarden_last_cycle_timestamp_seconds", "When the last cycle ended.", metrics.One(unix(h.LastCycle)))
	p.Gauge("weightwarden_last_cycle_duration_seconds", "How long the last cycle took.", metrics.One(float64(h.TookMS)/1000))
	p.Gauge("weightwarden_stalest_file_timestamp_seconds", "When the file was read that was not read for the longest time.", metrics.One(unix(h.Stalest)))
	p.Gauge("weightwarden_watched_bytes", "Bytes that are watched, by how they are read.", []metrics.Sample{
		{Labels: []string{"read", "every_cycle"}, Value: float64(h.SmallBytes)}, {Labels: []string{"read", "by_turn"}, Value: float64(h.LargeBytes)},
	})
	var verdicts []metrics.Sample
	for _, m := range h.Models {
		verdicts = append(verdicts, metrics.Sample{Labels: []string{"model", m.ID, "verdict", string(m.Verdict)}, Value: 1})
	}
	p.Gauge("weightwarden_model_verdict", "1 for the last verdict on each model.", verdicts)
	var active []metrics.Sample
	for _, severity := range []string{"low", "medium", "high", "critical"} {
		active = append(active, metrics.Sample{Labels: []string{"severity", severity}, Value: float64(h.Active[severity])})
	}
	p.Gauge("weightwarden_indicators", "Indicators that are there now.", active)
	o.pageAlerts(p, stats, err)
	o.told.page(p)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	p.Gauge("weightwarden_memory_bytes", "Memory obtained from the system by the program's runtime.", metrics.One(float64(memory.Sys)))
	p.Gauge("weightwarden_goroutines", "Goroutines of the program.", metrics.One(float64(runtime.NumGoroutine())))
	return p
}

func (o *operator) pageAlerts(p *metrics.Page, stats outbox.Stats, err error) {
	var alerts []metrics.Sample
	keys := slices.SortedFunc(maps.Keys(o.alerts), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	for _, k := range keys {
		alerts = append(alerts, metrics.Sample{Labels: []string{"outcome", k[0], "receiver", k[1]}, Value: float64(o.alerts[k])})
	}
	p.Counter("weightwarden_alerts_total", "Tries to deliver alerts since the start: delivered, failed, dead, dropped.", alerts)
	p.Gauge("weightwarden_outbox_readable", "1 when the outbox can be read.", metrics.One(number(err == nil)))
	if err == nil {
		p.Gauge("weightwarden_alerts", "Alerts that were not delivered, by state.", []metrics.Sample{
			{Labels: []string{"state", "pending"}, Value: float64(stats.Pending)},
			{Labels: []string{"state", "dead"}, Value: float64(stats.Dead)},
			{Labels: []string{"state", "dropped"}, Value: float64(stats.Dropped)},
		})
		p.Gauge("weightwarden_oldest_alert_timestamp_seconds", "When the oldest alert that waits was created; 0 without one.", metrics.One(unix(stats.Oldest)))
	}
	var reloads []metrics.Sample
	for _, result := range slices.Sorted(maps.Keys(o.reloads)) {
		reloads = append(reloads, metrics.Sample{Labels: []string{"result", result}, Value: float64(o.reloads[result])})
	}
	p.Counter("weightwarden_config_reloads_total", "Reloads of the configuration.", reloads)
	p.Gauge("weightwarden_config_last_reload_successful", "0 when the last reload was refused and the configuration before it still holds.", metrics.One(number(o.lastOK)))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// feed keeps the service manager's watchdog quiet for as long as the state
// directory answers.
func (o *operator) feed(ctx context.Context) {
	if o.manager.Watchdog <= 0 {
		return
	}
	tick := time.NewTicker(o.manager.Watchdog / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := o.db.Outbox().Pending(ctx); err != nil {
			o.log().Error("state directory does not answer", "error", err)
		}
		if err := o.manager.Alive(ctx); err != nil {
			o.log().Warn("watchdog", "error", err)
		}
	}
}

// call calls the dead man's switch as long as checks take place.
func (o *operator) call(ctx context.Context, parts *sync.WaitGroup, h *config.Heartbeat) error {
	if h == nil {
		return nil
	}
	post, err := egress.NewPoster(h.Policy)
	if err != nil {
		return fault.New(fault.Invalid, "alerts.heartbeat: %w", err)
	}
	parts.Go(func() { o.callEvery(ctx, h, post) })
	return nil
}

func (o *operator) callEvery(ctx context.Context, h *config.Heartbeat, post *egress.Poster) {
	tick := time.NewTicker(h.Interval)
	defer tick.Stop()
	for {
		if why := o.ready(time.Now()); why != "" {
			o.log().Info("no call to the dead man's switch", "reason", why)
		} else if err := o.callOnce(ctx, h, post); err != nil && ctx.Err() == nil {
			o.log().Warn("dead man's switch did not take the call", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (o *operator) callOnce(ctx context.Context, h *config.Heartbeat, post *egress.Poster) error {
	address, err := h.URL.Read(o.world())
	if err != nil {
		return err
	}
	o.mu.Lock()
	doc, err := json.Marshal(map[string]any{
		"host": o.host(), "time": time.Now().UTC(), "last_cycle": o.beat.LastCycle, "models": len(o.beat.Models), "indicators": o.beat.Active,
	})
	o.mu.Unlock()
	if err != nil {
		return err
	}
	_, _, err = post.JSON(ctx, address, "", nil, json.RawMessage(doc))
	return err
}
