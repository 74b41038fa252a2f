// Package cli is the command line: one file per command, each a struct of
// options, the flags that fill it and a function that does the work with the
// packages below. It is the only place that knows exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Env is what a command may touch of the world outside its arguments.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// OutTerminal and ErrTerminal say whether a person looks at the stream.
	OutTerminal, ErrTerminal bool
	// ReadPassword asks the person at the terminal for a password, which is
	// not shown. Nil when nobody can be asked.
	ReadPassword func(prompt string) ([]byte, error)
	Getenv       func(string) string
	Now          func() time.Time
	Random       io.Reader
	// Actor is who runs the program, as it stands in records: "user@host".
	Actor string
	// Root says that the program runs with all privileges.
	Root    bool
	Version string
	TempDir string
	// LeaseBreaks tells when somebody waits for a lease that this process has
	// on a file. Nil where there are none.
	LeaseBreaks <-chan os.Signal
	// Reloads subscribes to requests to read the configuration again. Nil where
	// there are none.
	Reloads func() <-chan os.Signal
	// Journal is told each point of a plan's journal. Nil outside crash tests.
	Journal func(point string)
}

// The exit codes, the same for every command.
const (
	exitOK         = 0
	exitFound      = 1
	exitUsage      = 2
	exitUntrusted  = 3
	exitIncomplete = 4
	exitRefused    = 5
	exitStopped    = 130
)

// exitError carries an exit code up to Main. With a nil err everything has
// been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode returns an error that ends the program with the code and without a
// further word, or nil for 0.
func exitCode(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// outcome turns what was found into an exit code: what was found outranks
// doubt about trust, which outranks what could not be looked at.
func outcome(found, untrusted, incomplete bool) error {
	switch {
	case found:
		return exitCode(exitFound)
	case untrusted:
		return exitCode(exitUntrusted)
	case incomplete:
		return exitCode(exitIncomplete)
	default:
		return nil
	}
}

// Main runs the program and returns its exit code.
func Main(ctx context.Context, env Env, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code := codeOf(ctx, err)
	if silent, ok := errors.AsType[*exitError](err); err == nil || ok && silent.err == nil {
		return code
	}
	_, _ = fmt.Fprintf(env.Stderr, "weightwarden: %s\n", shorten(oneLine(err.Error())))
	if hint := fault.HintOf(err); hint != "" {
		_, _ = fmt.Fprintf(env.Stderr, "hint: %s\n", shorten(oneLine(hint)))
	}
	return code
}

func codeOf(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if ctx.Err() != nil {
		return exitStopped
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound:
		return exitUsage
	case fault.Untrusted:
		return exitUntrusted
	case fault.Refused, fault.Conflict:
		return exitRefused
	case fault.Internal, fault.Incomplete:
	}
	return exitIncomplete
}

// oneLine keeps control characters in an error from reaching the terminal;
// line breaks between joined errors stay.
func oneLine(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if artifact.Quote(line) != line {
			lines[i] = strings.Trim(artifact.Quote(line), `"`)
		}
	}
	return strings.Join(lines, "\n")
}

// maxWord is the length that a word in an error may have, in bytes. A path
// that people write is shorter; what is longer was put there to flood a screen.
const maxWord = 400

// shorten cuts words that are too long and says how long they were.
func shorten(s string) string {
	words := strings.Split(s, " ")
	for i, word := range words {
		if len(word) > maxWord {
			words[i] = fmt.Sprintf("%s…(%d bytes)", strings.ToValidUTF8(word[:maxWord/4], ""), len(word))
		}
	}
	return strings.Join(words, " ")
}

// usage marks an error as one of usage.
func usage(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...)
}
