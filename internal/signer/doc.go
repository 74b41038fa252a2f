// Package signer makes and reads the key files that signatures are made and
// verified with: PEM in the usual forms, the encrypted form of cosign, and the
// Ed25519 key that seals a state directory.
//
// It knows nothing of what is signed, and does not ask for passwords: whoever
// calls it says where they come from. It does not read keys from tokens or key
// management services. Private keys stay in memory after use; Go cannot
// promise to erase them.
package signer
