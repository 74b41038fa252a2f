package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// Outbox keeps alerts over restarts.
type Outbox interface {
	outbox.Store
	outbox.Router
}

// Receivers says who is told what. The zero value tells nobody.
type Receivers struct {
	// Transports are the ways to the receivers, by name.
	Transports map[string]notify.Transport
	// Routes say which alerts go to whom; each one that matches counts. An
	// alert that none wants is only in the log. Without routes every receiver
	// gets every alert.
	Routes []Route
	// Always are receivers that get every alert whatever the routes say.
	Always []string
	// GiveUp is how old an alert may get before it goes to the dead letters;
	// Refused is the same for one that its receiver refuses for good.
	GiveUp, Refused time.Duration
	// Keep bounds the alerts that wait; 0 is no bound. Critical ones always
	// stay.
	Keep int
}

// Defaults of Receivers.
const (
	DefaultGiveUp  = 72 * time.Hour
	DefaultRefused = 15 * time.Minute
	DefaultKeep    = 10000
)

// Delivery hands the alerts of an outbox to their receivers until they have
// arrived, and gives them up loudly when they cannot.
type Delivery struct {
	Outbox Outbox
	Log    *slog.Logger
	// Grace is how long a delivery under way may go on after the end.
	Grace time.Duration
	// Jitter returns numbers from 0 to 1 that spread the tries of many hosts.
	Jitter func() float64
	// Count is told every outcome: what became of an alert, at which receiver.
	Count func(outcome, receiver string, n int)

	mu   sync.Mutex
	to   Receivers
	wake map[string]chan struct{} // by target
	next chan struct{}            // closed when to has changed
	sent map[int64]bool           // delivered, and not yet recorded
}

// NewDelivery returns a delivery to the receivers.
func NewDelivery(box Outbox, to Receivers, log *slog.Logger) *Delivery {
	d := &Delivery{Outbox: box, Log: log, Jitter: rand.Float64, sent: map[int64]bool{}}
	d.Set(to)
	return d
}

// Set changes the receivers, also while the delivery runs. What is being sent
// is sent to its end.
func (d *Delivery) Set(to Receivers) {
	if to.GiveUp <= 0 {
		to.GiveUp = DefaultGiveUp
	}
	if to.Refused <= 0 {
		to.Refused = DefaultRefused
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next != nil {
		close(d.next)
	}
	d.to, d.next = to, make(chan struct{})
	d.wake = map[string]chan struct{}{channel: make(chan struct{}, 1)}
	for name := range to.Transports {
		d.wake[target(name)] = make(chan struct{}, 1)
	}
}

// Tells reports whether there is anybody to tell.
func (d *Delivery) Tells() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.to.Transports) > 0
}

// channel is the target of alerts that nobody has decided on where they go.
const channel = "alert_webhook"

// target is the target of alerts on their way to a receiver. Its address is a
// secret, and may be corrected while alerts wait.
func target(receiver string) string { return "receiver/" + receiver }

// Delays between tries of the same alert, and how far jitter moves them.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
	spread     = 0.4
)

// idle is how often it is looked for what other processes have put into the
// outbox; what this one puts there wakes who delivers it.
const idle = 5 * time.Second

// add puts alerts into the outbox and wakes who delivers them. It says whether
// one was new there, and so made durable.
func (d *Delivery) add(ctx context.Context, list []pending) (fresh bool, err error) {
	for _, p := range list {
		added, err := d.Outbox.Add(ctx, outbox.Item{
			Key: p.Key, Target: channel, Group: p.Group, Priority: p.Priority, Payload: p.Payload, CreatedAt: p.At, NextAt: p.At,
		})
		if err != nil {
			return fresh, err
		}
		fresh = fresh || added
	}
	d.kick(channel)
	return fresh, nil
}

func (d *Delivery) kick(target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case d.wake[target] <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends.
func (d *Delivery) Run(ctx context.Context) {
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	defer context.AfterFunc(ctx, func() {
		if d.Grace <= 0 {
			kill()
			return
		}
		time.AfterFunc(d.Grace, kill)
	})()
	for ctx.Err() == nil {
		d.mu.Lock()
		to, next, wake := d.to, d.next, d.wake
		d.mu.Unlock()
		if err := d.adopt(ctx, to); err != nil && ctx.Err() == nil {
			d.Log.Error("outbox", "error", err)
		}
		var parts sync.WaitGroup
		for name, transport := range to.Transports {
			w := &worker{Delivery: d, to: to, name: name, transport: transport, hard: hard}
			parts.Go(func() { w.run(ctx, next, wake[target(name)]) })
		}
		parts.Go(func() { d.route(ctx, to, next, wake[channel]) })
		parts.Wait()
	}
}

// worker delivers to one receiver, so that no receiver waits for another.
type worker struct {
	*Delivery
	to        Receivers
	name      string
	transport notify.Transport
	hard      context.Context //nolint:containedctx // ends a delivery under way, later than ctx ends
	failures  int             // since the last success
}

// run sends what is due until ctx ends or next is closed. After a failure the
// receiver is left alone for a while, whatever else is due.
func (w *worker) run(ctx context.Context, next, wake <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		early := wake
		if w.failures > 0 {
			early = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
			return
		case <-early:
		case <-timer.C:
		}
		pause, err := w.sendDue(ctx, next)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("outbox", "error", err)
		}
		timer.Reset(pause)
	}
}

// atOnce bounds how much is read from the outbox in one go.
const atOnce = 100

// sendDue sends what is due, oldest first, and returns how long to wait.
func (w *worker) sendDue(ctx context.Context, next <-chan struct{}) (pause time.Duration, err error) {
	for {
		due, err := w.Outbox.DueFor(ctx, target(w.name), time.Now(), atOnce)
		if err == nil && len(due) == 0 && w.failures == 0 {
			return idle, nil
		}
		if err != nil || len(due) == 0 {
			return firstRetry, err
		}
		for _, item := range due {
			select {
			case <-next:
				return firstRetry, nil
			default:
			}
			if pause, err := w.send(ctx, item); pause > 0 || err != nil || ctx.Err() != nil {
				return max(pause, firstRetry), err
			}
		}
	}
}

// send tries one alert and records what became of it. It returns how long the
// receiver has to be left alone.
func (w *worker) send(ctx context.Context, item outbox.Item) (pause time.Duration, err error) {
	if w.recorded(item.ID) {
		return 0, w.delivered(ctx, item) // only the record of it was missing
	}
	a, err := decode(item)
	if err != nil {
		return 0, w.bury(ctx, item, a, err.Error())
	}
	retry, err := w.transport.Send(w.hard, a)
	if err == nil {
		w.failures = 0
		w.Log.Info("alert delivered", "receiver", w.name, "attempts", item.Attempts+1)
		w.count("delivered", 1)
		return 0, w.delivered(ctx, item)
	}
	if w.hard.Err() != nil {
		return 0, nil //nolint:nilerr // stopped: it stays in the outbox
	}
	w.count("failed", 1)
	return w.failed(ctx, item, a, retry, err)
}

// delivered records it, also when stopped just now: else it would be sent
// again. Where the record cannot be written, this process still knows.
func (w *worker) delivered(ctx context.Context, item outbox.Item) error {
	err := w.Outbox.Delivered(context.WithoutCancel(ctx), item.ID, time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.sent[item.ID] = true
		return err
	}
	delete(w.sent, item.ID)
	return nil
}

func (w *worker) recorded(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[id]
}

func (w *worker) count(outcome string, n int) {
	if w.Count != nil {
		w.Count(outcome, w.name, n)
	}
}

// failed decides between another try and the dead letters.
func (w *worker) failed(ctx context.Context, item outbox.Item, a notify.Alert, retry bool, cause error) (time.Duration, error) {
	age, limit := time.Since(item.CreatedAt), w.to.GiveUp
	delay := w.backOff(item.Attempts)
	if !retry {
		delay, limit = w.backOff(10), w.to.Refused // at the slowest pace
	}
	asked := time.Duration(0)
	if w, ok := errors.AsType[interface {
		error
		Wait() time.Duration
	}](cause); ok {
		asked = w.Wait()
	}
	if age >= limit {
		reason := fmt.Sprintf("given up after %s and %d tries: %v", age.Round(time.Second), item.Attempts+1, cause)
		return 0, w.bury(ctx, item, a, reason)
	}
	delay = max(asked, min(delay, max(limit-age, firstRetry))) // the last try is at the limit
	w.Log.Warn("alert not delivered", "receiver", w.name, "error", cause, "attempts", item.Attempts+1, "next", delay.String())
	err := w.Outbox.Failed(ctx, item.ID, time.Now().Add(delay), cause.Error())
	if !retry {
		return 0, err // others may be accepted
	}
	pause := max(w.backOff(w.failures), asked)
	w.failures++
	return pause, err
}

// backOff returns the delay after n failures before.
func (d *Delivery) backOff(n int) time.Duration {
	delay := min(firstRetry<<min(n, 10), lastRetry)
	return time.Duration(float64(delay) * (1 - spread/2 + spread*d.Jitter()))
}

// bury gives an alert up, loudly: in the log, and to the other receivers.
func (w *worker) bury(ctx context.Context, item outbox.Item, a notify.Alert, reason string) error {
	if err := w.Outbox.Bury(ctx, item.ID, time.Now(), reason); err != nil {
		return err
	}
	w.Log.Error("alert given up", "receiver", w.name, "id", item.ID, "title", artifact.Quote(a.Line()), "reason", reason)
	w.count("dead", 1)
	return w.tell(ctx, w.to, w.name, undelivered(w.name, a, reason, time.Now()))
}
