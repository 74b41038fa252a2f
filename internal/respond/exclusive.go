package respond

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/lease"
)

// defaultLease is how long a lease lasts without being renewed.
const defaultLease = 30 * time.Second

// How often who waits for somebody else asks again.
const askAgain = 200 * time.Millisecond

// held is what keeps others from acting.
type held struct {
	unlocks []func() error
	leases  []lease.Lease
}

// locked does something while nobody else acts on the incident or on the
// targets. Who finds somebody acting waits for a while and is refused then.
// do gets a responder whose entries are refused once somebody else has
// taken over.
func (r *Responder) locked(ctx context.Context, id string, targets []string, do func(context.Context, *Responder) error) (err error) {
	if err := incident.CheckID(id); err != nil {
		return err
	}
	h, err := r.acquire(ctx, id, targets)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.release(ctx, h)) }()
	inner := *r
	if len(h.leases) == 0 {
		return do(ctx, &inner)
	}
	inner.Ledger = r.Leases.Ledger(h.leases...)
	inner.fence = h.leases[len(h.leases)-1].Fence
	ctx, lost := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	stop := make(chan struct{})
	renewing.Go(func() { r.renew(ctx, h, stop, lost) })
	err = do(ctx, &inner)
	close(stop)
	renewing.Wait()
	cause := context.Cause(ctx)
	lost(nil)
	if err != nil && fault.KindOf(cause) == fault.Conflict {
		return cause
	}
	return err
}

// acquire takes the locks and leases, waiting for whoever has one of them.
func (r *Responder) acquire(ctx context.Context, id string, targets []string) (*held, error) {
	names := []string{}
	for _, t := range targets {
		names = append(names, "target-"+artifact.SHA256Of([]byte(t)).Hex()[:32])
	}
	slices.Sort(names)
	names = append([]string{id}, slices.Compact(names)...)
	for start := r.Now(); ; {
		h, err := r.acquireOnce(ctx, names)
		if err == nil || fault.KindOf(err) != fault.Conflict || r.Now().Sub(start) >= r.Wait {
			return h, err
		}
		if err := sleep(ctx, askAgain); err != nil {
			return nil, err
		}
	}
}

func (r *Responder) acquireOnce(ctx context.Context, names []string) (*held, error) {
	h := &held{}
	for _, name := range names {
		if err := r.acquireOne(ctx, h, name); err != nil {
			return nil, errors.Join(err, r.release(ctx, h))
		}
	}
	return h, nil
}

// acquireOne takes one lock and lease. Whoever holds a lease of this host has
// the lock as long as it lives. So a lease whose lock is free is that of a dead
// process, and a lock whose lease has run out that of one which sleeps: it
// wakes up to find its entries refused.
func (r *Responder) acquireOne(ctx context.Context, h *held, name string) error {
	unlock, err := r.Lock(name)
	if err == nil {
		h.unlocks = append(h.unlocks, unlock)
	}
	if r.Leases == nil || err != nil && fault.KindOf(err) != fault.Conflict {
		return err
	}
	l, leaseErr := r.Leases.Acquire(ctx, name, cmp.Or(r.Holder, r.Actor), r.Now(), r.leaseTTL(), err == nil)
	if leaseErr != nil {
		return leaseErr
	}
	if err != nil && !l.Taken { // who has the lock is about to take the lease, or has just given it back
		return errors.Join(err, r.Leases.Release(ctx, l))
	}
	h.leases = append(h.leases, l)
	return nil
}

func (r *Responder) leaseTTL() time.Duration { return cmp.Or(r.LeaseTTL, defaultLease) }

// release gives everything back, also when ctx has ended.
func (r *Responder) release(ctx context.Context, h *held) error {
	var errs []error
	for _, l := range slices.Backward(h.leases) {
		errs = append(errs, r.Leases.Release(context.WithoutCancel(ctx), l))
	}
	for _, unlock := range slices.Backward(h.unlocks) {
		errs = append(errs, unlock())
	}
	return errors.Join(errs...)
}

// renew extends the leases until stop. When one is lost, what is being done
// under it ends.
func (r *Responder) renew(ctx context.Context, h *held, stop <-chan struct{}, lost context.CancelCauseFunc) {
	tick := time.NewTicker(r.leaseTTL() / 3)
	defer tick.Stop()
	leases := slices.Clone(h.leases)
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for n, l := range leases {
			renewed, err := r.Leases.Renew(ctx, l, r.Now(), r.leaseTTL())
			if fault.KindOf(err) == fault.Conflict {
				lost(err)
				return
			}
			if err == nil {
				leases[n] = renewed
			}
		}
	}
}
