package oms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// errUntrusted is what every refusal of a signature or a signer wraps.
var errUntrusted = errors.New("not trusted")

// signer is who made a signature that verified.
type signer struct {
	name   string
	method string
	key    crypto.PublicKey
	at     time.Time
	notes  []string
}

// check is a signature with what it has to fit.
type check struct {
	bundle *bundle
	raw    []byte // the bundle's bytes
	legacy bool   // made by release v0.2.0
	trust  Trust
	now    time.Time
	at     time.Time // when the signature was made, if somebody trusted says so
}

// valid reports whether the signature was made by pub.
func (c check) valid(pub crypto.PublicKey) bool {
	b := c.bundle
	if c.legacy {
		return validWith(crypto.SHA256, pub, legacyPreAuth(b.payloadType, b.payload), b.signature)
	}
	return validSignature(pub, preAuth(b.payloadType, b.payload), b.signature)
}

func (c check) signer(ctx context.Context) (s signer, err error) {
	if c.bundle.method == MethodSigstore {
		return c.keyless(ctx)
	}
	at, note := c.stamped()
	c.at = at
	if c.bundle.method == MethodKey {
		s, err = c.byKey()
	} else {
		s, err = c.byCertificate()
	}
	s.at = at
	switch {
	case note == "":
	case err != nil:
		err = fmt.Errorf("%w (%s)", err, note)
	default:
		s.notes = append(s.notes, note)
	}
	return s, err
}

// stamped returns the latest of the times that a time-stamping authority
// vouches for, or says why there is none although the bundle has time stamps.
func (c check) stamped() (at time.Time, note string) {
	switch {
	case len(c.bundle.stamps) == 0:
		return at, ""
	case c.trust.Timestamp == nil:
		return at, "the bundle's time stamp was not verified: no time-stamping authority is trusted"
	}
	for _, stamp := range c.bundle.stamps {
		t, err := c.trust.Timestamp(c.bundle.signature, stamp)
		switch {
		case err != nil:
			note = "the bundle's time stamp is not used: " + err.Error()
		case t.After(at):
			at = t.UTC()
		}
	}
	return at, note
}

func keySigner(pub crypto.PublicKey) (signer, error) {
	hint, err := KeyHint(pub)
	if err != nil {
		return signer{}, err
	}
	return signer{name: "key:" + hint, method: MethodKey, key: pub}, nil
}

// byKey finds the trusted key that the bundle names, or that made the
// signature when the bundle names none.
func (c check) byKey() (signer, error) {
	if len(c.trust.Keys) == 0 {
		return signer{}, fmt.Errorf("signed with a key, and no key is trusted: %w", errUntrusted)
	}
	candidates, note, err := c.candidates()
	if err != nil {
		return signer{}, err
	}
	i := slices.IndexFunc(candidates, c.valid)
	if i < 0 {
		return signer{}, fmt.Errorf("the signature does not verify with a trusted key: %w", errUntrusted)
	}
	s, err := keySigner(candidates[i])
	if note != "" {
		s.notes = []string{note}
	}
	return s, err
}

// candidates returns the trusted keys that the bundle may have been signed
// with.
func (c check) candidates() (keys []crypto.PublicKey, note string, err error) {
	var fits func(crypto.PublicKey) bool
	switch {
	case c.bundle.hint != "":
		fits = func(k crypto.PublicKey) bool {
			hint, err := KeyHint(k)
			return err == nil && hint == c.bundle.hint
		}
	case c.bundle.rawKey != nil:
		own, err := parsePublicPEM(c.bundle.rawKey)
		if err != nil {
			return nil, "", err
		}
		fits = own.Equal
	default:
		return c.trust.Keys, "the bundle does not name its key; the trusted keys were tried", nil
	}
	for _, k := range c.trust.Keys {
		if fits(k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, "", fmt.Errorf("the bundle names a key that is not trusted: %w", errUntrusted)
	}
	return keys, "", nil
}

// parsePublicPEM reads the key in bundles of releases up to v1.0.1.
func parsePublicPEM(data []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("the bundle's key is not PEM: %w", ErrMalformed)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the bundle's key: %w", ErrMalformed)
	}
	key, _, ok := curveHash(parsed)
	if !ok {
		return nil, fmt.Errorf("the bundle's key is not ECDSA on P-256, P-384 or P-521: %w", ErrRefused)
	}
	return key, nil
}

func (c check) keyless(ctx context.Context) (signer, error) {
	if c.trust.Keyless == nil {
		return signer{}, fmt.Errorf("signed with the sigstore method, for which no trusted identity is configured: %w", errUntrusted)
	}
	id, err := c.trust.Keyless(ctx, c.raw)
	if err != nil {
		return signer{}, fmt.Errorf("sigstore signature: %w: %w", err, errUntrusted)
	}
	if id.Signer == "" {
		return signer{}, fmt.Errorf("sigstore signature without an identity: %w", errUntrusted)
	}
	// The verifier read the bundle with a parser of its own. What it found good
	// has to be what is compared with the files.
	if !validSignature(id.Key, preAuth(c.bundle.payloadType, c.bundle.payload), c.bundle.signature) {
		return signer{}, fmt.Errorf("sigstore signature: the payload is not what was verified: %w", errUntrusted)
	}
	return signer{name: id.Signer, method: MethodSigstore, key: id.Key, at: id.SignedAt}, nil
}

// byCertificate verifies the chain up to a trusted root, the leaf's purpose
// and time, and the signature. A leaf whose key is trusted by itself needs no
// chain.
func (c check) byCertificate() (signer, error) {
	chain, err := c.bundle.certificates()
	if err != nil {
		return signer{}, err
	}
	leaf := chain[0]
	if !c.valid(leaf.PublicKey) {
		return signer{}, fmt.Errorf("the signature does not verify with the certificate's key: %w", errUntrusted)
	}
	notes, err := c.chain(chain)
	if err == nil {
		name := leaf.Subject.String()
		if name == "" && len(leaf.DNSNames)+len(leaf.EmailAddresses) > 0 {
			name = append(slices.Clone(leaf.EmailAddresses), leaf.DNSNames...)[0]
		}
		return signer{name: artifact.Quote(name), method: MethodCertificate, key: leaf.PublicKey, notes: notes}, nil
	}
	if i := slices.IndexFunc(c.trust.Keys, func(k crypto.PublicKey) bool { return sameKey(k, leaf.PublicKey) }); i >= 0 {
		s, keyErr := keySigner(c.trust.Keys[i])
		s.notes = []string{"the certificate was not used: its key is trusted by itself"}
		return s, keyErr
	}
	return signer{}, err
}

func sameKey(a, b crypto.PublicKey) bool {
	key, _, ok := curveHash(a)
	return ok && key.Equal(b)
}

func (b *bundle) certificates() ([]*x509.Certificate, error) {
	if len(b.chain) == 0 {
		return nil, fmt.Errorf("a certificate chain without a certificate: %w", ErrMalformed)
	}
	var chain []*x509.Certificate
	for i, der := range b.chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the bundle: %w", i+1, ErrMalformed)
		}
		chain = append(chain, cert)
	}
	if _, _, ok := curveHash(chain[0].PublicKey); !ok {
		return nil, fmt.Errorf("the certificate's key is not ECDSA on P-256, P-384 or P-521: %w", ErrRefused)
	}
	return chain, nil
}

// chain verifies the certificates at the time of the check, or, for a leaf
// that has expired, at the time that a time-stamping authority vouches for.
func (c check) chain(chain []*x509.Certificate) (notes []string, err error) {
	leaf, at := chain[0], c.now
	switch {
	case c.trust.Roots == nil:
		return nil, fmt.Errorf("signed with a certificate, and no certificate authority is trusted: %w", errUntrusted)
	case at.IsZero():
		return nil, fmt.Errorf("certificates cannot be checked without a time: %w", errUntrusted)
	}
	if err := c.purpose(leaf); err != nil {
		return nil, err
	}
	if at.After(leaf.NotAfter) {
		expired := "the certificate expired at " + leaf.NotAfter.UTC().Format(time.RFC3339)
		switch {
		case !c.at.IsZero() && !c.at.After(leaf.NotAfter):
			notes = append(notes, expired+", after the verified time of the signature")
			at = c.at
		case !c.trust.AllowExpiredLeaf:
			return nil, fmt.Errorf("%s: %w", expired, errUntrusted)
		default:
			notes = append(notes, expired+"; accepted because expired certificates are allowed")
			at = leaf.NotBefore
		}
	}
	middle := x509.NewCertPool()
	if c.trust.Intermediates != nil {
		middle = c.trust.Intermediates.Clone()
	}
	for _, cert := range chain[1:] {
		middle.AddCert(cert)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: c.trust.Roots, Intermediates: middle, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("certificate chain: %s: %w", artifact.Quote(err.Error()), errUntrusted)
	}
	return notes, nil
}

// purpose refuses certificates that were not made for signing. OMS asks for
// the key usage digitalSignature or the extended key usage codeSigning, which
// every TLS server certificate meets; an extended key usage that does not
// name code signing is refused on top of that.
func (c check) purpose(leaf *x509.Certificate) error {
	code := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning)
	limited := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 && !code:
		return fmt.Errorf("the certificate is not for signatures: %w", errUntrusted)
	case limited && !code && !c.trust.AllowServerCertificates:
		return fmt.Errorf("the certificate is not for signing code (its extended key usage says what for): %w", errUntrusted)
	}
	return nil
}
