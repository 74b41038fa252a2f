package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"
)

// passwordReader returns a function that asks for a password on the terminal
// without showing it, or nil when standard input is no terminal. An interrupt
// ends it, and the terminal shows again what is typed.
func passwordReader(ctx context.Context) func(prompt string) ([]byte, error) {
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil {
		return nil
	}
	type answer struct {
		password []byte
		err      error
	}
	return func(prompt string) ([]byte, error) {
		_, _ = fmt.Fprint(os.Stderr, prompt)
		defer func() { _, _ = fmt.Fprintln(os.Stderr) }()
		answers := make(chan answer, 1)
		go func() {
			password, err := term.ReadPassword(in)
			answers <- answer{password, err}
		}()
		select {
		case a := <-answers:
			return a.password, a.err
		case <-ctx.Done():
			_ = term.Restore(in, before)
			return nil, ctx.Err()
		}
	}
}
