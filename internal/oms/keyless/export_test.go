package keyless

import "testing"

// Who signs in tests of other packages.
const (
	TestName   = signerName
	TestIssuer = signerIssuer
)

// NewFiles starts a Sigstore instance and returns what the files of its users
// hold.
func NewFiles(t *testing.T) (trustedRoot, services, identityToken string) {
	s := newInstance(t)
	return string(s.trustedRoot()), s.config(true), token()
}
