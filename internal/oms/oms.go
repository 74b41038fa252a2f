package oms

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Verdict is the outcome of a verification.
type Verdict string

// The verdicts. Tampered is only said when the signature itself verified;
// Error only when nothing worse is known.
const (
	Verified  Verdict = "verified"
	Tampered  Verdict = "tampered"
	Untrusted Verdict = "untrusted"
	Error     Verdict = "error"
)

// The values of [Result.Method].
const (
	MethodKey         = "key"
	MethodCertificate = "certificate"
	MethodSigstore    = "sigstore"
	MethodManifest    = "manifest"
)

// The values of [Mismatch.Kind].
const (
	KindModified   = "modified"
	KindMissing    = "missing"
	KindUnexpected = "unexpected"
	KindSymlink    = "symlink"
)

// Mismatch is one difference between what was signed and what is there.
type Mismatch struct {
	File string `json:"file"`
	// Kind is modified, missing, unexpected or symlink.
	Kind string `json:"kind"`
	// ExpectedHash and ActualHash are what [artifact.Digest.String] writes,
	// "" where there is none. For shards they are those of the first shard
	// that differs.
	ExpectedHash string `json:"expected_hash"`
	ActualHash   string `json:"actual_hash"`
}

// Result says what a verification found. Its JSON is the command line's.
type Result struct {
	Path    string  `json:"path"`
	Verdict Verdict `json:"verdict"`
	// Method is key, certificate, sigstore, manifest, or "" when there is no
	// signature that could be read.
	Method string `json:"method"`
	// Signer names who signed: "key:" and the key hint, or the subject of the
	// certificate. Empty unless the signature verified.
	Signer string `json:"signer"`
	// KeyHint is the [KeyHint] of the key that verified the signature,
	// whatever the method. A deny-list asks for it.
	KeyHint string `json:"key_hint,omitempty"`
	// RootDigest is the signed root digest; for forms without one, that of the
	// covered files in the reference implementation's order. Zero unless the
	// signature verified.
	RootDigest artifact.Digest `json:"root_digest"`
	// Files and Bytes count the covered files that were read.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Mismatches are sorted by file.
	Mismatches []Mismatch `json:"mismatches"`
	// Uncovered are paths that exist and that no signature covers, sorted.
	// Directories are not counted; the signature's own files are not either.
	Uncovered []string `json:"uncovered"`
	// Reasons explain the verdict, and what is worth knowing beside it.
	Reasons []string `json:"reasons"`
	// Covered are exactly the files that the signature covers and that could
	// be read, with their SHA-256 as observed, sorted by path.
	Covered []artifact.File `json:"-"`
	// Material are the signature files that were read: relative to the model
	// when they are inside it, as they were given otherwise.
	Material []string `json:"-"`
	// SignedAt is when the signature was made, where a trusted party vouches
	// for the time.
	SignedAt time.Time `json:"signed_at,omitzero"`
}

// Identity is what a keyless verifier found out about a signature.
type Identity struct {
	// Signer names the identity and its issuer.
	Signer string
	// Key is the public key that verified the signature.
	Key crypto.PublicKey
	// SignedAt is the time that a log or a time-stamping authority vouches for.
	SignedAt time.Time
}

// Keyless verifies the signature of a sigstore bundle, its certificate, log
// entries and times, against a policy of its own. It is given the bundle's
// bytes and says nothing about the files. An error means that the signature is
// not to be trusted.
type Keyless func(ctx context.Context, bundle []byte) (Identity, error)

// Trust says whose signatures are accepted. The zero value trusts nobody.
type Trust struct {
	// Keys are trusted directly. Only ECDSA keys on P-256, P-384 and P-521
	// can match.
	Keys []crypto.PublicKey
	// Roots are the certificate authorities of the certificate method.
	Roots *x509.CertPool
	// AllowExpiredLeaf accepts a leaf certificate that has expired, as long
	// as its chain was valid when the leaf became valid.
	AllowExpiredLeaf bool
	// AllowServerCertificates accepts leaf certificates whose extended key
	// usage does not include code signing.
	AllowServerCertificates bool
	// Intermediates help to build chains up to the roots; they are not
	// trusted by themselves.
	Intermediates *x509.CertPool
	// Keyless verifies the sigstore method. Without it such bundles are
	// untrusted.
	Keyless Keyless
	// Timestamp verifies a time stamp (an RFC 3161 response) over a signature
	// and returns its time. Without it time stamps in bundles of the key and
	// certificate methods are reported as not verified and not used.
	Timestamp func(signature, stamp []byte) (time.Time, error)
}

// Limits bound what is read of a signature. A zero field means its default.
type Limits struct {
	// Bundle is the size of a bundle or a blob manifest in bytes: 64 MiB.
	Bundle int64
	// Depth is how deep JSON may nest: 32.
	Depth int
	// Resources is how many files or shards may be listed: 262,144.
	Resources int
	// Certificates is how many certificates a chain may have: 16.
	Certificates int
}

func (l Limits) fill() Limits {
	return Limits{
		Bundle:       cmp.Or(l.Bundle, 64<<20),
		Depth:        cmp.Or(l.Depth, 32),
		Resources:    cmp.Or(l.Resources, 1<<18),
		Certificates: cmp.Or(l.Certificates, 16),
	}
}

// VerifyOptions are what [Verify] may be told.
type VerifyOptions struct {
	// Signature is the path of the bundle, or of a manifest signature. Empty
	// means: model.sig in the model directory, then .signatures/; for a model
	// that is one file, the file's name with ".sig" added.
	Signature string
	Trust     Trust
	// IgnorePaths are paths inside the model, exact or directories, that may
	// exist without being signed. They are reported as uncovered.
	IgnorePaths []string
	// KeepGitPaths treats .git, .github, .gitattributes and .gitignore as any
	// other path: what is there and not signed is a mismatch, unless the
	// bundle says that it left them out. Without it they are ignored, as OMS
	// has it, unless they are signed.
	KeepGitPaths bool
	// AllowSymlinks lets a signed name be a link to a regular file inside the
	// model. What the bundle says about links does not matter: the verifier
	// decides. Links to directories, broken links and links that lead out of
	// the model are never accepted.
	AllowSymlinks bool
	// FailUncovered makes every uncovered path a mismatch.
	FailUncovered bool
	// Now is the time that certificates must be valid at. With a zero Now
	// no certificate is accepted.
	Now      time.Time
	Workers  int
	Progress func(manifest.Progress)
	Limits   Limits
}

// gitPaths are excluded by every OMS implementation, at the top level of the
// model only.
var gitPaths = []string{".git", ".gitattributes", ".github", ".gitignore"}

func (r *Result) note(reason string) {
	if !slices.Contains(r.Reasons, reason) {
		r.Reasons = append(r.Reasons, reason)
	}
}
