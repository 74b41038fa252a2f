package watch

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// Answer is whether somebody may open a file.
type Answer int

// The answers.
const (
	// Doubt means that it could not be found out, or not in time.
	Doubt Answer = iota
	Allow
	Refuse
)

// Opening is somebody who is about to open a file, and waits for the answer.
type Opening struct {
	// Root is the id of the root, Path where the file is in its tree.
	Root, Path string
	// File is open for reading. It is closed after the answer.
	File    *os.File
	Process Process
}

// GateOptions say how a gate answers.
type GateOptions struct {
	// Judge finds out the answer until ctx ends, and why.
	Judge func(ctx context.Context, o Opening) (Answer, string)
	// OnDoubt is the answer when there is none: Allow or Refuse.
	OnDoubt Answer
	// Within is how long somebody waits for an answer at most.
	Within time.Duration
	// Refused is told of what was refused, and of what was let through in
	// doubt.
	Refused func(o Opening, answer Answer, why string)
	Log     *slog.Logger
}

// DefaultWithin is how long somebody waits for an answer at most.
const DefaultWithin = 2 * time.Second

// stuckAfter is how many times as long the gate itself may take before its
// watchdog opens it for good.
const stuckAfter = 5

// leastStopped is how long the process may be stopped as a whole, at the least:
// a host that is very busy stops it for a while, too.
const leastStopped = 10 * time.Second
