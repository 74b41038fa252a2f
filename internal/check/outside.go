package check

import (
	"context"
	"io"
	"os"

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
func (c *Checker) behaviour(t Target) []indicator.Indicator {
	if t.Drift.Outputs == "" {
		return nil
	}
	report, err := DriftReport(t.Drift, c.DriftThreshold)
	if err != nil {
		report = drift.Failed(c.DriftThreshold, err.Error())
	}
	return report.Indicators(t.ID, c.Now())
}

// DriftReport reads a model's outputs and reference and compares them.
func DriftReport(files drift.Config, threshold float64) (report drift.Report, err error) {
	var reference drift.Distribution
	err = open(files.Reference, func(r io.Reader) (err error) {
		reference, err = drift.ReadReference(r, drift.Limits{})
		return err
	})
	if err != nil {
		return drift.Report{}, err
	}
	err = open(files.Outputs, func(r io.Reader) error {
		recent, err := drift.ReadOutputs(r, drift.Limits{})
		report = drift.Check(recent, reference, threshold)
		return err
	})
	return report, err
}

func open(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return read(f)
}
