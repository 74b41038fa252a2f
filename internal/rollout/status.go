package rollout

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Status is how far a rollout is, by what the workload's controller has
// observed.
type Status struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Finished  bool   `json:"finished"`
	// Observed says that the controller has seen the state that was asked for:
	// the numbers are of that state.
	Observed  bool `json:"observed"`
	Desired   int  `json:"desired"`
	Updated   int  `json:"updated"`
	Available int  `json:"available"`
	// Old are pods of the state before that still run.
	Old int `json:"old"`
	// Reasons say why pods are not available.
	Reasons []string `json:"reasons,omitempty"`
	// Seconds is how long the rollout was waited for.
	Seconds float64 `json:"seconds"`
}

// String says it for people.
func (s Status) String() string {
	switch {
	case !s.Observed:
		return "not yet seen by its controller"
	case s.Finished:
		return fmt.Sprintf("%d of %d available", s.Available, s.Desired)
	case s.Old > 0 && s.Updated == s.Desired:
		return fmt.Sprintf("%d of %d updated, %d available, %d old ones end", s.Updated, s.Desired, s.Available, s.Old)
	default:
		return fmt.Sprintf("%d of %d updated, %d available", s.Updated, s.Desired, s.Available)
	}
}

// look reads the status of a workload.
func look(o cluster.Object) Status {
	s := Status{
		Kind: o.Text("/kind"), Namespace: o.Namespace(), Name: o.ObjectName(),
		Observed: o.Number("/status/observedGeneration") >= o.Number("/metadata/generation") && o.Number("/metadata/generation") > 0,
	}
	if s.Kind == cluster.DaemonSets.Name {
		s.Desired, s.Updated = o.Number("/status/desiredNumberScheduled"), o.Number("/status/updatedNumberScheduled")
		s.Available = o.Number("/status/numberAvailable")
		s.Old = max(o.Number("/status/currentNumberScheduled")-s.Updated, 0)
		s.Finished = s.Observed && s.Updated >= s.Desired && s.Available >= s.Desired
		return s
	}
	s.Desired = 1
	if _, ok := o.At("/spec/replicas"); ok {
		s.Desired = o.Number("/spec/replicas")
	}
	s.Updated, s.Available = o.Number("/status/updatedReplicas"), o.Number("/status/availableReplicas")
	s.Old = max(o.Number("/status/replicas")-s.Updated, 0)
	s.Finished = s.Observed && s.Updated >= s.Desired && s.Old == 0 && s.Available >= s.Desired
	if s.Kind == cluster.StatefulSets.Name {
		s.Finished = s.Finished && o.Text("/status/currentRevision") == o.Text("/status/updateRevision")
	}
	return s
}

// stuck says why a workload will never roll out by itself, or nil.
func stuck(o cluster.Object, s Status) error {
	what := cluster.Kind{Name: s.Kind}.In(s.Namespace, s.Name).String()
	strategy := o.Text("/spec/updateStrategy/type")
	switch {
	case o.Flag("/spec/paused"):
		return fault.New(fault.Incomplete, "%s is paused: nothing is rolled out", what).
			WithHint("kubectl -n %s rollout resume %s/%s", s.Namespace, s.lower(), s.Name)
	case strategy == "OnDelete" && s.Updated < s.Desired:
		return fault.New(fault.Incomplete, "%s replaces its pods only when they are deleted (OnDelete): %d of %d are not updated", what, s.Desired-s.Updated, s.Desired).
			WithHint("delete its pods one by one, then run the same command again")
	case o.Number("/spec/updateStrategy/rollingUpdate/partition") > 0 && s.Updated < s.Desired:
		return fault.New(fault.Incomplete, "%s updates only the pods from number %d on (partition)", what, o.Number("/spec/updateStrategy/rollingUpdate/partition")).
			WithHint("lower its partition, then run the same command again")
	}
	for _, c := range o.Items("/status/conditions") {
		if c.Text("/type") == "Progressing" && c.Text("/reason") == "ProgressDeadlineExceeded" {
			return fault.New(fault.Incomplete, "%s has given up: %s%s", what, words(c.Text("/message")), list(s.Reasons)).WithHint("%s", remedy(s))
		}
	}
	return nil
}

func (s Status) lower() string {
	return map[string]string{"DaemonSet": "daemonset", "Deployment": "deployment", "StatefulSet": "statefulset"}[s.Kind]
}
