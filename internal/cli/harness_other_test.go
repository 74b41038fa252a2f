//go:build !linux

package cli_test

import "github.com/rogpeppe/go-internal/testscript"

func linuxOnly(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("Linux only: begin the script with [!linux] skip")
}

func mayMount() bool { return false }

var plainly, fifo, tmpfs = linuxOnly, linuxOnly, linuxOnly
