//go:build !linux

package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
)

// identityOf knows no numbers here: a tree that is exchanged shows in what is
// in it.
func identityOf(fs.FileInfo) identity { return identity{1, 1} }

func stampOf(info fs.FileInfo) stamp {
	return stamp{id: identity{1, 1}, mode: info.Mode(), size: info.Size(), modified: info.ModTime()}
}

func visible(path string) (name string, seen bool) {
	_, err := os.Stat(path)
	return "this system", err == nil
}

func newNotifier() (notifier, error) { return nil, nil }

// witness is not available on this system.
type witness struct{}

func newWitness(*slog.Logger) *witness { return nil }

func (*witness) add(*root) {}

func (*witness) run(context.Context) {}

func (*witness) at(string, string) (Process, bool) { return Process{}, false }

// Gate is not available on this system.
type Gate struct{}

// NewGate fails with an error that wraps [errors.ErrUnsupported].
func NewGate([]Root, GateOptions) (*Gate, error) {
	return nil, fmt.Errorf("this system does not ask before a file is opened: %w", errors.ErrUnsupported)
}

// Follow is never called.
func (*Gate) Follow(Root) {}

// Run is never called.
func (*Gate) Run(context.Context) error { return nil }
