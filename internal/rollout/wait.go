package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// every is how long between two looks.
const every = 500 * time.Millisecond

// NoteConfig is the annotation of a pod template that holds the checksum of the
// configuration.
const NoteConfig = "weightwarden.io/config-sha256"

// Wait looks at a workload until its rollout is finished, or the time is over.
// It tells how far it is whenever that changes. checksum is what the annotation
// [NoteConfig] of the pod template has to be all the time: another one was put
// there by somebody else.
func Wait(ctx context.Context, api API, ref cluster.Ref, checksum string, limit time.Duration, tell func(Status)) (Status, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errLate)
	defer cancel()
	var last Status
	for {
		s, err := once(ctx, api, ref, checksum)
		if s.Name != "" {
			s.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
			if ctx.Err() != nil && len(s.Reasons) == 0 {
				s.Reasons = last.Reasons // the time was over before the pods were looked at again
			}
			if last.Name == "" || s.String() != last.String() || fmt.Sprint(s.Reasons) != fmt.Sprint(last.Reasons) {
				tell(s)
			}
			last = s
		}
		if errors.Is(context.Cause(ctx), errLate) && !last.Finished {
			return last, late(ref, last, limit)
		}
		if err != nil || last.Finished {
			return last, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
		if err := context.Cause(ctx); err != nil && !errors.Is(err, errLate) {
			return last, err
		}
	}
}

var errLate = errors.New("the time is over")

// once looks at the workload, and at its pods while they are not available.
func once(ctx context.Context, api API, ref cluster.Ref, checksum string) (Status, error) {
	o, err := api.Get(ctx, ref)
	if err != nil {
		return Status{}, fault.New(fault.KindOf(err), "look at the rollout: %w", err).WithHint("it is applied; run the same command again to see how it is")
	}
	s := look(o)
	if now := o.Text(cluster.Pointer("spec", "template", "metadata", "annotations", NoteConfig)); now != checksum {
		return s, fault.New(fault.Conflict, "%s no longer has the configuration that was applied: somebody has changed it back", ref).
			WithHint("a GitOps controller or another operator keeps it: change it there")
	}
	if s.Finished {
		if s.Desired == 0 {
			return s, nobody(ref, o)
		}
		return s, nil
	}
	s.Reasons = reasons(ctx, api, o, checksum)
	return s, stuck(o, s)
}

// nobody says that a rollout ended without a single pod: nothing is watched.
func nobody(ref cluster.Ref, o cluster.Object) error {
	err := fault.New(fault.Incomplete, "%s runs no pod at all: nothing is watched", ref)
	if o.Text("/kind") == cluster.DaemonSets.Name {
		return err.WithHint("no node of the cluster takes it: kubectl get nodes")
	}
	return err.WithHint("it is scaled to 0: the watcher runs when it is scaled up")
}

func late(ref cluster.Ref, s Status, limit time.Duration) error {
	err := fault.New(fault.Incomplete, "%s is applied, but its rollout did not finish within %s: %s%s", ref, limit, s, list(s.Reasons))
	return err.WithHint("%s; then run the same command again, or go back with: kubectl -n %s rollout undo %s/%s", remedy(s), s.Namespace, s.lower(), s.Name)
}

func list(reasons []string) (text string) {
	for _, r := range reasons {
		text += "\n  " + r
	}
	return text
}
