package keyless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/oms"
)

// Signer signs with a key that lives for one signature and a certificate that
// a Sigstore instance issues for an identity token.
type Signer struct {
	root    *Root
	token   string
	options sign.BundleOptions
	who     oms.Identity
}

// NewSigner prepares to sign with the services that the signing configuration
// (signing_config.json, version 0.2) names for the time now. Nothing is sent
// before [Signer.Seal]. The error is a [fault.Invalid], or a
// [fault.Incomplete] when a reader fails.
func (r *Root) NewSigner(config, token io.Reader, now time.Time) (*Signer, error) {
	data, err := readDocument(config)
	if err != nil {
		return nil, fmt.Errorf("read signing configuration: %w", err)
	}
	services, err := root.NewSigningConfigFromJSON(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read signing configuration: %s", shown(err)).
			WithHint("give the signing_config.json of the Sigstore instance")
	}
	raw, err := readDocument(token)
	if err != nil {
		return nil, fmt.Errorf("read identity token: %w", err)
	}
	s := &Signer{root: r, token: strings.TrimSpace(string(raw))}
	if strings.Count(s.token, ".") != 2 {
		return nil, fault.New(fault.Invalid, "read identity token: it is no OpenID Connect token").
			WithHint("give a file with the token alone; its audience has to be sigstore")
	}
	if err := s.choose(services, now); err != nil {
		return nil, fault.New(fault.Invalid, "read signing configuration: %s", shown(err)).
			WithHint("it names no service for this time that speaks a version known here; get a newer one")
	}
	return s, nil
}

// logVersions are the versions of transparency logs that are signed with. The
// second is verified, too, but has not been tried for signing.
var logVersions = []uint32{1}

// choose picks the services, as the configuration says how many of each.
func (s *Signer) choose(c *root.SigningConfig, now time.Time) error {
	authority, err := root.SelectService(c.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return err
	}
	s.options.CertificateProvider = sign.NewFulcio(&sign.FulcioOptions{BaseURL: authority.URL})
	logs, err := root.SelectServices(c.RekorLogURLs(), c.RekorLogURLsConfig(), logVersions, now)
	if err != nil {
		return err
	}
	for _, l := range logs {
		s.options.TransparencyLogs = append(s.options.TransparencyLogs,
			sign.NewRekor(&sign.RekorOptions{BaseURL: l.URL, Version: l.MajorAPIVersion}))
	}
	if len(c.TimestampAuthorityURLs()) == 0 {
		return nil
	}
	stamps, err := root.SelectServices(c.TimestampAuthorityURLs(), c.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now)
	for _, t := range stamps {
		s.options.TimestampAuthorities = append(s.options.TimestampAuthorities,
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: t.URL}))
	}
	return err
}

// Seal signs a payload and returns the bundle, after verifying it with the
// trusted root as everybody else will. The identity, and the statement's
// digest, become public in the log. It fits oms.Sealer. The error is a
// [fault.Incomplete] when a service failed, and a [fault.Untrusted] when what
// the services returned does not verify.
func (s *Signer) Seal(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	options := s.options
	options.Context = ctx
	options.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: s.token}
	made, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: payloadType}, key, options)
	if err != nil {
		return nil, fault.New(fault.Incomplete, "sign with sigstore: %s", s.censored(err)).
			WithHint("check that the services are reachable and that the identity token is fresh")
	}
	b, err := bundle.NewBundle(made)
	if err != nil {
		return nil, fault.New(fault.Untrusted, "sign with sigstore: %s", shown(err))
	}
	data, err := b.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	if s.who, err = s.root.verify(ctx, data, verify.WithoutIdentitiesUnsafe()); err != nil {
		return nil, fault.New(fault.Untrusted, "verify what was signed: %w", err).
			WithHint("the trusted root has to be that of the instance in the signing configuration")
	}
	return data, nil
}

// Who returns who signed according to the certificate, once Seal has succeeded.
func (s *Signer) Who() oms.Identity { return s.who }

// censored returns the text of a service's error. A service may repeat what it
// was sent, and the token is a password until it expires.
func (s *Signer) censored(err error) string {
	return shown(errors.New(strings.ReplaceAll(err.Error(), s.token, "(token)")))
}
