// Package action says what containment is made of: plans, their steps, the
// exact inverse of each step and the condition by which anybody can observe
// that it was done. It carries out nothing; drivers do, and package respond
// tells them when.
package action

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Name is what a plan does as a whole.
type Name string

// The actions.
const (
	Isolate  Name = "isolate"
	Rollback Name = "rollback"
	Undo     Name = "undo"
)

// What is decided without steps of its own, and approved like a plan.
const (
	Waive  Name = "waive"
	Close  Name = "close"
	People Name = "people"
)

// RecordDriver names the executor of steps that change the host's record of
// trust, and nothing that is served.
const RecordDriver = "record"

// Step is one change of the world, small enough to be observed.
type Step struct {
	// ID is unique within the plan.
	ID string `json:"id"`
	// Driver names who carries the step out; Kind is one of its kinds.
	Driver string `json:"driver"`
	Kind   string `json:"kind"`
	// Target is what is changed: a path, an object, a digest.
	Target string `json:"target"`
	// Summary is one sentence in the present tense.
	Summary string `json:"summary"`
	// Post is the post-condition, in words, that Observe looks for.
	Post string `json:"post"`
	// Destroys says that the step ends something that evidence could still
	// be taken from, so that the evidence must be sealed before.
	Destroys bool `json:"destroys,omitempty"`
	// Guards says that the step blocks what would replace the model's
	// processes, and that its post-condition proves it: a refusal was seen.
	Guards bool `json:"guards,omitempty"`
	// Detaches says that the step takes processes out of the hands of a
	// controller, which replaces them unless an earlier step guards.
	Detaches bool `json:"detaches,omitempty"`
	// Opens says that requests reach the model again through the step.
	Opens bool `json:"opens,omitempty"`
	// Replicas is how many serving processes the step touches; 0 where none
	// or one.
	Replicas int `json:"replicas,omitempty"`
	// Timeout is how long the post-condition may take to hold, in seconds; 0
	// leaves it to the orchestrator.
	Timeout int `json:"timeout_seconds,omitempty"`
	// Params is all that Execute and Observe need, in the driver's own form.
	// It is made when the plan is made, so that the plan's hash covers it.
	Params json.RawMessage `json:"params,omitempty"`
	// Inverse takes the step back. Nil when nothing has to be taken back.
	Inverse *Step `json:"inverse,omitempty"`
	// Undoes is, in the steps of an undo, "plan hash/step id" of the step
	// that is taken back.
	Undoes string `json:"undoes,omitempty"`
}

// Plan is a pure function of what was observed: the same observation gives
// the same plan, and its hash is what people approve.
type Plan struct {
	Incident string `json:"incident_id"`
	Action   Name   `json:"action"`
	Model    string `json:"model"`
	// Target is the serving path, workload or whatever else is acted on.
	Target string `json:"target"`
	// Observed is what the plan was made from, by name. A plan whose
	// observation no longer holds is made anew.
	Observed map[string]string `json:"observed"`
	Steps    []Step            `json:"steps"`
	// Remarks tell the reader what the plan does not do.
	Remarks []string `json:"remarks,omitempty"`
}

// Hash identifies the plan: the SHA-256 of its JSON form, as it reads after it
// was written and read once. A path that is not UTF-8 reads differently then,
// and what people approve has to be found again in the log.
func (p Plan) Hash() artifact.Digest {
	var read Plan
	if err := json.Unmarshal(p.encode(), &read); err != nil {
		panic("a plan is always decodable: " + err.Error()) // it was encoded a moment ago
	}
	return artifact.SHA256Of(read.encode())
}

func (p Plan) encode() []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic("a plan is always encodable: " + err.Error()) // only strings, maps of strings and valid raw JSON
	}
	return data
}

// Outcome is what an observation says of a step.
type Outcome string

// The outcomes.
const (
	// Done means that the post-condition holds.
	Done Outcome = "done"
	// NotDone means that the world is as it was before the step.
	NotDone Outcome = "not_done"
	// Diverged means neither: somebody else changed something.
	Diverged Outcome = "diverged"
)

// Observation is what was seen of a step, and when.
type Observation struct {
	Outcome Outcome `json:"outcome"`
	// Detail is what was seen, in one sentence.
	Detail string    `json:"detail"`
	At     time.Time `json:"at"`
}

// Executor carries out and observes steps.
type Executor interface {
	// Execute brings about the step's post-condition. It may be called again
	// after a crash at any moment of an earlier call. That it returns
	// without error proves nothing: ask Observe.
	Execute(ctx context.Context, s Step) error
	// Observe looks at the world and says whether the post-condition holds.
	// An error means that it could not look.
	Observe(ctx context.Context, s Step) (Observation, error)
}

// ErrMayPass is wrapped by errors that may be gone when the same is tried again
// a little later: a server that restarts, a conflict between two writers.
var ErrMayPass = errors.New("this may pass")

// MayPass reports whether it is worth trying again after err: it wraps
// [ErrMayPass], or it is a time-out.
func MayPass(err error) bool {
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return true
	}
	return errors.Is(err, ErrMayPass)
}

// Escalator is implemented by drivers that know who owns what a step changes.
type Escalator interface {
	// Escalate returns the step that does one owner further up what s did,
	// after somebody else took s back again and again. It returns a NotFound
	// fault when nobody is above, or nobody that it knows.
	Escalate(ctx context.Context, s Step) (Step, error)
}

// Request is what a driver makes steps for.
type Request struct {
	Incident string
	Model    artifact.Model
	// Mark asks for marking instead of moving, when isolating.
	Mark bool
	// Source and Files are the verified version to roll back to: a directory
	// and exactly the files of it to put in place.
	Source string
	Files  []artifact.File
	// Version is the name of that version, and Installed the root digest of
	// Files: what a workload is told to serve, and what it must be seen to.
	Version   string
	Installed artifact.Digest
	// Done are the steps of the incident that are done and not taken back, in
	// the order in which they were done.
	Done []Step
}

// Draft is a driver's part of a plan.
type Draft struct {
	Observed map[string]string
	Steps    []Step
	Remarks  []string
}

// Driver knows one kind of place that models are served from.
type Driver interface {
	Executor
	// Name is the driver's name in steps.
	Name() string
	// Isolate plans to take the model out of serving, keeping it.
	Isolate(ctx context.Context, r Request) (Draft, error)
	// Rollback plans to put a verified version in the model's place.
	Rollback(ctx context.Context, r Request) (Draft, error)
}
