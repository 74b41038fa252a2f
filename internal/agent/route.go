package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/outbox"
)

// Route says which alerts go to whom.
type Route struct {
	Receivers []string
	// MinSeverity is the least severity; 0 is every one.
	MinSeverity finding.Severity
	// Models are patterns of model ids, * for any characters; none is all,
	// and also what is about no model.
	Models []string
	// CriticalModels leaves out models that are not marked as critical.
	CriticalModels bool
	// Unresolved leaves out notices that something is gone.
	Unresolved bool
}

// wants reports whether the route takes the alert.
func (r Route) wants(a notify.Alert) bool {
	switch {
	case a.Severity < r.MinSeverity, r.CriticalModels && !a.Critical, r.Unresolved && a.Status == notify.Resolved:
		return false
	case len(r.Models) == 0:
		return true
	}
	return slices.ContainsFunc(r.Models, func(pattern string) bool {
		ok, err := path.Match(pattern, a.Source)
		return err == nil && ok
	})
}

// For returns who is told of the alert, sorted.
func (r Receivers) For(a notify.Alert) []string {
	chosen := map[string]bool{}
	for _, name := range r.Always {
		chosen[name] = true
	}
	if len(r.Routes) == 0 {
		for name := range r.Transports {
			chosen[name] = true
		}
	}
	for _, route := range r.Routes {
		if route.wants(a) {
			for _, name := range route.Receivers {
				chosen[name] = true
			}
		}
	}
	maps.DeleteFunc(chosen, func(name string, _ bool) bool { return r.Transports[name] == nil })
	return slices.Sorted(maps.Keys(chosen))
}

// decode reads an alert from the outbox. What others put there has the guide's
// form, text and severity.
func decode(item outbox.Item) (notify.Alert, error) {
	var a notify.Alert
	if err := json.Unmarshal(item.Payload, &a); err != nil {
		return notify.Alert{Key: item.Key}, fmt.Errorf("unreadable alert: %w", err)
	}
	if a.Key == "" {
		a.Key = item.Key
	}
	if a.Status == "" {
		a.Status = notify.Message
	}
	if a.Group == "" {
		a.Group = item.Group
	}
	if a.At.IsZero() {
		a.At = item.CreatedAt
	}
	if a.Title == "" {
		a.Title = a.Line()
	}
	return a, nil
}

// route hands alerts that nobody has decided on to their receivers until ctx
// ends or next is closed.
func (d *Delivery) route(ctx context.Context, to Receivers, next, wake <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next:
			return
		case <-wake:
		case <-timer.C:
		}
		if err := d.routeDue(ctx, to); err != nil && ctx.Err() == nil {
			d.Log.Error("outbox", "error", err)
		}
		timer.Reset(idle)
	}
}

func (d *Delivery) routeDue(ctx context.Context, to Receivers) error {
	if len(to.Transports) == 0 {
		return nil // what waits is kept until there is somebody to tell
	}
	for {
		due, err := d.Outbox.DueFor(ctx, channel, time.Now(), atOnce)
		if err != nil {
			return err
		}
		if len(due) == 0 {
			return d.trim(ctx, to)
		}
		for _, item := range due {
			if err := d.split(ctx, to, item); err != nil {
				return err
			}
		}
	}
}

// split turns one alert into one for each of its receivers. A receiver that
// has the alert already gets no second one: the keys are the same.
func (d *Delivery) split(ctx context.Context, to Receivers, item outbox.Item) error {
	a, err := decode(item)
	if err != nil {
		return d.Outbox.Bury(ctx, item.ID, time.Now(), err.Error())
	}
	names := to.For(a)
	if len(names) == 0 {
		d.Log.Warn("alert matches no route", "source", artifact.Quote(a.Source), "severity", a.Severity.String(), "title", artifact.Quote(a.Line()))
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return err
	}
	into := make([]outbox.Item, 0, len(names))
	for _, name := range names {
		part := item
		part.Key, part.Target, part.Payload, part.Attempts, part.LastError = a.Key+"/"+name, target(name), payload, 0, ""
		into = append(into, part)
	}
	if err := d.Outbox.Split(ctx, item.ID, into, time.Now()); err != nil {
		return err
	}
	for _, name := range names {
		d.kick(target(name))
	}
	return nil
}

// adopt hands on what waits for a receiver that is not configured any more.
func (d *Delivery) adopt(ctx context.Context, to Receivers) error {
	if len(to.Transports) == 0 {
		return nil
	}
	due, err := d.Outbox.Due(ctx, time.Now().AddDate(100, 0, 0), 1<<20)
	if err != nil {
		return err
	}
	for _, item := range due {
		name, ours := strings.CutPrefix(item.Target, "receiver/")
		if !ours || to.Transports[name] != nil {
			continue
		}
		d.Log.Warn("receiver is not configured any more: its alert goes to the others", "receiver", artifact.Quote(name))
		if err := d.split(ctx, to, item); err != nil {
			return err
		}
	}
	return nil
}

// trim keeps the outbox from growing without end, and says what was lost.
func (d *Delivery) trim(ctx context.Context, to Receivers) error {
	if to.Keep <= 0 {
		return nil
	}
	now := time.Now()
	if n, err := d.Outbox.Pending(ctx); err != nil || n <= to.Keep {
		return err
	}
	room := to.Keep - to.Keep/10 // so that it is not one by one
	n, err := d.Outbox.Trim(ctx, room, now, fmt.Sprintf("dropped: more than %d alerts were waiting", to.Keep))
	if err != nil || n == 0 {
		return err
	}
	d.Log.Error("alerts dropped: too many are waiting", "dropped", n, "limit", to.Keep)
	if d.Count != nil {
		d.Count("dropped", "", n)
	}
	return d.tell(ctx, to, "", dropped(n, to.Keep, now))
}

// tell puts an alert about the delivery itself before all receivers but one.
func (d *Delivery) tell(ctx context.Context, to Receivers, except string, a notify.Alert) error {
	if a.Key == "" {
		return nil
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return err
	}
	for name := range to.Transports {
		if name == except {
			continue
		}
		_, err := d.Outbox.Add(ctx, outbox.Item{
			Key: a.Key + "/" + name, Target: target(name), Group: a.Group, Priority: outbox.Critical,
			Payload: payload, CreatedAt: a.At, NextAt: a.At,
		})
		if err != nil {
			return err
		}
		d.kick(target(name))
	}
	return nil
}
