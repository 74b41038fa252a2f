package check

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/drift"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/pyenv"
)

// packages compares the Python environments with the configuration.
func (c *Checker) packages(ctx context.Context) []indicator.Indicator {
	if len(c.Packages) == 0 {
		return nil
	}
	envs := make([]*pyenv.Environment, 0, len(c.Environments))
	for _, dir := range c.Environments {
		envs = append(envs, pyenv.Read(ctx, dir))
	}
	return pyenv.Check(envs, c.Packages, c.Now())
}

// behaviour compares a model's recent outputs with its reference.
func (c *Checker) behaviour(ctx context.Context, t Target) []indicator.Indicator {
	if t.Drift.Outputs == "" {
		return nil
	}
	report, err := driftReport(ctx, t.Drift, c.DriftThreshold)
	if err != nil {
		report = drift.Failed(c.DriftThreshold, err.Error())
	}
	return report.Indicators(t.ID, c.Now())
}

// driftReport reads a model's outputs and reference and compares them.
func driftReport(ctx context.Context, files drift.Config, threshold float64) (report drift.Report, err error) {
	var reference drift.Distribution
	err = open(ctx, files.Reference, func(r io.Reader) (err error) {
		reference, err = drift.ReadReference(r, drift.Limits{})
		return err
	})
	if err != nil {
		return drift.Report{}, err
	}
	err = open(ctx, files.Outputs, func(r io.Reader) error {
		recent, err := drift.ReadOutputs(r, drift.Limits{})
		report = drift.Check(recent, reference, threshold)
		return err
	})
	return report, err
}

// open reads the regular file at path. Whatever writes outputs may be the
// attacker's: a pipe in place of the file is not waited for.
func open(ctx context.Context, path string, read func(io.Reader) error) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("read %s: it is a %s, not a file", artifact.Quote(path), artifact.KindOf(info.Mode()))
	}
	return read(&stoppable{ctx, f})
}

// stoppable ends with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
