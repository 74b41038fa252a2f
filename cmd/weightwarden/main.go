// Command weightwarden answers when a machine-learning model in production
// has been tampered with: it detects, preserves, isolates and rolls back.
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"os/user"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/weightwarden/weightwarden/internal/cli"
)

// version is set when a release is built.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		OutTerminal:  term.IsTerminal(int(os.Stdout.Fd())),
		ErrTerminal:  term.IsTerminal(int(os.Stderr.Fd())),
		ReadPassword: passwordReader(ctx),
		Getenv:       os.Getenv,
		Now:          time.Now,
		Random:       rand.Reader,
		Actor:        actor(),
		Root:         os.Geteuid() == 0,
		Version:      version,
		TempDir:      os.TempDir(),
		LeaseBreaks:  leaseBreaks(),
		Reloads:      reloads,
	}
	os.Exit(cli.Main(ctx, env, os.Args[1:]))
}

// actor names who runs the program: the operating system's user and host.
func actor() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// reloads subscribes to SIGHUP; without it the signal ends the program.
func reloads() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}
