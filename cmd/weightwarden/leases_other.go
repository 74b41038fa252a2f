//go:build !linux

package main

import "os"

// leaseBreaks never tells anything: there are no leases here.
func leaseBreaks() <-chan os.Signal { return nil }
