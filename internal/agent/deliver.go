package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/weightwarden/weightwarden/internal/outbox"
)

// Sender delivers one alert.
type Sender interface {
	// Send tries once. When it fails, retry says whether to try again.
	Send(ctx context.Context, target string, payload []byte) (retry bool, err error)
}

// Delivery keeps alerts in an outbox and sends them until they arrived.
type Delivery struct {
	Outbox outbox.Store
	Sender Sender
	// Target is where alerts go.
	Target string
	Log    *slog.Logger

	wake chan struct{}
}

// NewDelivery returns a delivery to one target.
func NewDelivery(box outbox.Store, s Sender, target string, log *slog.Logger) *Delivery {
	return &Delivery{Outbox: box, Sender: s, Target: target, Log: log, wake: make(chan struct{}, 1)}
}

// channel is the target of the alerts in the outbox. The address itself is a
// secret, and may be corrected while alerts wait.
const channel = "alert_webhook"

// Delays between tries of the same alert.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// add puts alerts into the outbox and wakes who delivers them.
func (d *Delivery) add(ctx context.Context, list []pending) error {
	for _, p := range list {
		_, err := d.Outbox.Add(ctx, outbox.Item{Key: p.Key, Target: channel, Payload: p.Payload, CreatedAt: p.At, NextAt: p.At})
		if err != nil {
			return err
		}
	}
	d.kick()
	return nil
}

func (d *Delivery) kick() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run sends what is due, oldest first, until ctx ends.
func (d *Delivery) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		if err := d.sendDue(ctx); err != nil && ctx.Err() == nil {
			d.Log.Error("outbox", "error", err)
		}
		timer.Reset(firstRetry)
	}
}

func (d *Delivery) sendDue(ctx context.Context) error {
	due, err := d.Outbox.Due(ctx, time.Now(), 100)
	if err != nil {
		return err
	}
	for _, item := range due {
		if err := d.send(ctx, item); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

func (d *Delivery) send(ctx context.Context, item outbox.Item) error {
	retry, err := d.Sender.Send(ctx, d.Target, item.Payload)
	if err == nil {
		d.Log.Info("alert delivered", "attempts", item.Attempts+1)
		// Also when stopped just now: else it would be sent again.
		return d.Outbox.Delivered(context.WithoutCancel(ctx), item.ID, time.Now())
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // stopped: it stays in the outbox
	}
	delay := min(firstRetry<<min(item.Attempts, 10), lastRetry)
	if !retry {
		delay = lastRetry // the receiver refuses it: kept, and tried at the slowest pace
	}
	d.Log.Warn("alert not delivered", "error", err, "attempts", item.Attempts+1, "next", delay.String())
	return d.Outbox.Failed(ctx, item.ID, time.Now().Add(delay), err.Error())
}
