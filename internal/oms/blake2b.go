package oms

import (
	"hash"

	"golang.org/x/crypto/blake2b"
)

// newBLAKE2b returns BLAKE2b-512, "blake2b" in signed statements. The error of
// the constructor is only for keys that are too long.
func newBLAKE2b() (hash.Hash, error) { return blake2b.New512(nil) }
