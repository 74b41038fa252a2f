package keyless

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/oms"
)

// Identity is somebody whose signatures are accepted: exactly this identity,
// an e-mail address or a URL, for whom exactly this OpenID Connect issuer
// vouched. There are no patterns.
type Identity struct{ Name, Issuer string }

// String returns how the identity is shown as a signer.
func (i Identity) String() string { return i.Name + " (" + i.Issuer + ")" }

// Verifier returns what verifies bundles that one of the identities signed. An
// identity without its issuer is refused, and so is none at all: whoever can
// get a certificate from anybody could sign then.
func (r *Root) Verifier(identities ...Identity) (oms.Keyless, error) {
	if len(identities) == 0 {
		return nil, fault.New(fault.Invalid, "no identity is trusted").WithHint("name one, with its issuer")
	}
	var options []verify.PolicyOption
	for _, id := range identities {
		if id.Name == "" || id.Issuer == "" {
			return nil, fault.New(fault.Invalid, "an identity without a name or without its issuer trusts too many").
				WithHint("give both, as the certificate has them")
		}
		policy, err := verify.NewShortCertificateIdentity(id.Issuer, "", id.Name, "")
		if err != nil {
			return nil, fmt.Errorf("trust identity %q: %w", id.Name, err)
		}
		options = append(options, verify.WithCertificateIdentity(policy))
	}
	return func(ctx context.Context, data []byte) (oms.Identity, error) {
		return r.verify(ctx, data, options...)
	}, nil
}

// verify verifies a bundle: its certificate with a timestamp of a certificate
// transparency log, an entry in a transparency log, and a time that a log or a
// time-stamping authority vouches for and at which the certificate was valid.
// What was signed is not looked at; sigstore-go would ask for the digest of a
// file there.
func (r *Root) verify(ctx context.Context, data []byte, policy ...verify.PolicyOption) (oms.Identity, error) {
	if err := ctx.Err(); err != nil {
		return oms.Identity{}, err
	}
	if err := checkSize(data); err != nil {
		return oms.Identity{}, err
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return oms.Identity{}, fmt.Errorf("read bundle: %s", shown(err))
	}
	verifier, err := verify.NewVerifier(r.material, verify.WithSignedCertificateTimestamps(1),
		verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate())
	if err != nil {
		return oms.Identity{}, fmt.Errorf("prepare verification: %w", err)
	}
	result, err := verifier.Verify(&b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), policy...))
	if stranger, ok := errors.AsType[*verify.ErrNoMatchingCertificateIdentity](err); ok {
		return oms.Identity{}, mismatch(&b, stranger)
	}
	if err != nil {
		return oms.Identity{}, errors.New(shown(err))
	}
	return identify(&b, result)
}

// mismatch says who signed instead of the identities that are trusted. All
// else verified.
func mismatch(b *bundle.Bundle, stranger error) error {
	content, err := b.VerificationContent()
	if err != nil {
		return errors.New(shown(stranger))
	}
	summary, err := certificate.SummarizeCertificate(content.Certificate())
	if err != nil {
		return errors.New(shown(stranger))
	}
	who := Identity{summary.SubjectAlternativeName, summary.Issuer}
	return fmt.Errorf("signed by %s, who is not a trusted identity", shown(errors.New(who.String())))
}

func identify(b *bundle.Bundle, result *verify.VerificationResult) (oms.Identity, error) {
	content, err := b.VerificationContent()
	if err != nil || content.Certificate() == nil || result.Signature.Certificate == nil {
		return oms.Identity{}, errors.New("signed without a certificate")
	}
	summary := result.Signature.Certificate
	who := Identity{summary.SubjectAlternativeName, summary.Issuer}
	return oms.Identity{Signer: who.String(), Key: content.Certificate().PublicKey, SignedAt: latest(result)}, nil
}

// latest returns the latest of the times that were verified: all agree that
// the signature existed then.
func latest(result *verify.VerificationResult) (at time.Time) {
	for _, stamp := range result.VerifiedTimestamps {
		if stamp.Timestamp.After(at) {
			at = stamp.Timestamp
		}
	}
	return at.UTC()
}

// The limits of a bundle, in bytes: its whole, and all of it but the payload.
// A log entry has a few thousand bytes.
const (
	maxBundle   = 64 << 20
	maxMaterial = 1 << 20
)

// checkSize bounds what is parsed into structures: a megabyte of "{}," takes a
// hundred times the memory of a megabyte of payload.
func checkSize(data []byte) error {
	if len(data) > maxBundle {
		return fmt.Errorf("bundle of %d bytes, and %d are allowed: %w", len(data), maxBundle, oms.ErrLimit)
	}
	var outer, envelope map[string]json.RawMessage
	if err := json.Unmarshal(data, &outer); err != nil {
		return fmt.Errorf("read bundle: not a JSON object: %w", oms.ErrMalformed)
	}
	if err := json.Unmarshal(outer["dsseEnvelope"], &envelope); err != nil {
		return fmt.Errorf("read bundle: no envelope: %w", oms.ErrMalformed)
	}
	rest := len(data) - len(envelope["payload"])
	if rest > maxMaterial {
		return fmt.Errorf("%d bytes beside the payload, and %d are allowed: %w", rest, maxMaterial, oms.ErrLimit)
	}
	return nil
}
