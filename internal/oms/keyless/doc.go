// Package keyless verifies and makes signatures of the sigstore method: a
// certificate that lives for minutes and names an identity, a transparency
// log's word that the signature was there while it lived, and a trusted root
// that says which authorities and logs count.
//
// Verification is offline: everything comes from the bundle and the trusted
// root. Signing talks to the services that a signing configuration names, and
// to no other. The package does not know models: what is signed is the
// business of package oms, which hands it bytes.
package keyless
