// Package file appends alerts to a file, one JSON document on each line. It
// opens the file for each alert, so that it may be rotated at any time.
package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is which file.
type Config struct{ Path string }

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any { return map[string]any{"path": (*egress.Path)(&c.Path)} }

// Check implements [notify.Config].
func (c *Config) Check() error { return notify.Problems(notify.Need("path", c.Path != "")) }

// Open implements [notify.Config].
func (c *Config) Open(notify.World) (notify.Transport, error) { return sender{c.Path}, nil }

type sender struct{ path string }

// Send writes one line and has it synced. What could not be written whole, as
// on a full disk, is taken away again.
func (s sender) Send(_ context.Context, a notify.Alert) (bool, error) {
	line, err := json.Marshal(a)
	if err != nil {
		return false, fmt.Errorf("write alert: %w", err)
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return true, fmt.Errorf("open file of alerts: %w", err)
	}
	err = errors.Join(appendLine(f, line), f.Close())
	return err != nil, err
}

func appendLine(f *os.File, line []byte) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("append alert: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("append alert: %q is not a file", f.Name())
	}
	size := info.Size()
	line = append(line, '\n')
	if last := make([]byte, 1); size > 0 { // what a crash left of a line ends here
		if _, err := f.ReadAt(last, size-1); err == nil && last[0] != '\n' {
			line = append([]byte("\n"), line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return errors.Join(fmt.Errorf("append alert: %w", err), f.Truncate(size))
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("append alert: %w", err)
	}
	return nil
}
