package main

import (
	"os"
	"os/signal"
	"syscall"
)

// leaseBreaks tells that somebody waits for a lease of this process.
func leaseBreaks() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGIO)
	return c
}
