package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/oms/keyless"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/trust"
)

type signOptions struct {
	ignoreFlags
	privateKey, signature    string
	certificate              string
	chain                    []string
	token, services, trusted string
	compat                   bool
	password                 passwordFlags
}

func (o *signOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.privateKey, "private-key", "", "PEM `file` of the private key (ECDSA)")
	f.StringVar(&o.signature, "signature", "", "write the signature to this `file` (default PATH/model.sig)")
	f.StringVar(&o.certificate, "signing-certificate", "", "PEM `file` of the certificate of the private key: sign with the certificate method")
	f.StringArrayVar(&o.chain, "certificate-chain", nil, "PEM `file` of the authorities between the certificate and the root, in that order (repeatable)")
	f.StringVar(&o.token, "identity-token", "", "`file` with an OpenID Connect token, - for standard input: sign with the sigstore method, over the network")
	f.StringVar(&o.services, "signing-config", "", "`file` signing_config.json of the Sigstore instance: its services")
	f.StringVar(&o.trusted, "trusted-root", "", "`file` trusted_root.json of the Sigstore instance, to verify what it returned (default trusted_root in the configuration)")
	f.BoolVar(&o.compat, "compat", false, "write what the reference implementation writes where it differs from the specification")
	o.add(f, "leave this `path` out of the signature (repeatable)", "sign what symbolic links to files inside the model lead to")
	o.password.add(f)
}

const signLong = `Signs every file of a model and writes the signature in the OpenSSF Model
Signing form, which other tools verify too. The version is recorded as signed
now when there is a state directory: rollback asks for that.

With --private-key alone the key signs. With --signing-certificate, too, the
certificates go into the signature, and verifying asks for their root. With
--identity-token nothing has to be kept secret for longer than the signature
takes: a Sigstore instance certifies a new key for the identity in the token,
and its log makes identity and digest PUBLIC. The network is used for that only.

The reference implementation up to version 1.1 does not accept a model that is
a single file unless it was signed with --compat.`

func newSign(g *globals) *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use: "sign PATH", Short: "Sign a model (OpenSSF Model Signing v1.0)", Long: signLong,
		Example: "  weightwarden key generate --out release\n  weightwarden sign models/sentiment-v2 --private-key release.pem",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runSign(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// signed is the result of signing.
type signed struct {
	Path       string          `json:"path"`
	Signature  string          `json:"signature"`
	RootDigest artifact.Digest `json:"root_digest"`
	Files      int             `json:"files"`
	Bytes      int64           `json:"bytes"`
	Signer     string          `json:"signer"`
	Recorded   bool            `json:"recorded"`
}

func runSign(ctx context.Context, g *globals, o signOptions, path string) error {
	if (o.privateKey == "") == (o.token == "") {
		return usage("sign: give --private-key or --identity-token, one of them").WithHint("see: weightwarden sign --help")
	}
	ignored, err := o.inside(path)
	if err != nil {
		return err
	}
	options := oms.SignOptions{
		Signature: o.signature, IgnorePaths: ignored, KeepGitPaths: o.keepGitPaths(), AllowSymlinks: o.symlinksAccepted, Compat: o.compat,
	}
	sign := o.byKey
	if o.token != "" {
		sign = o.byIdentity
	}
	s, who, err := sign(ctx, g, path, options)
	if err != nil {
		return err
	}
	out := signed{Path: path, Signature: s.Signature, RootDigest: s.RootDigest, Files: s.Files, Bytes: s.Bytes, Signer: who}
	out.Recorded = g.vouch(ctx, trust.Vouch{Root: s.RootDigest, How: trust.Signed, Who: who})
	return g.print(out, func(p *printer) {
		p.printf("signed %s: %s, %s\nroot digest %s\nsignature in %s\n", artifact.Quote(path),
			plural(out.Files, "file", "files"), bytesText(out.Bytes), out.RootDigest, artifact.Quote(out.Signature))
	})
}

// byKey signs with the private key, and with the certificates that go with it
// where some are given.
func (o *signOptions) byKey(ctx context.Context, g *globals, path string, options oms.SignOptions) (*oms.Signed, string, error) {
	if len(o.chain) > 0 && o.certificate == "" {
		return nil, "", usage("--certificate-chain needs --signing-certificate: the certificate that the chain is of")
	}
	key, err := signer.LoadPrivateKey(o.privateKey, o.password.read(g))
	if err != nil {
		return nil, "", err
	}
	hint, err := oms.KeyHint(key.Public())
	if err != nil {
		return nil, "", err
	}
	if o.certificate != "" {
		for _, file := range append([]string{o.certificate}, o.chain...) {
			certs, err := signer.LoadCertificates(file)
			if err != nil {
				return nil, "", err
			}
			options.Certificates = append(options.Certificates, certs...)
		}
	}
	s, err := oms.Sign(ctx, path, key, options)
	return s, hint, err
}

// byIdentity signs with the identity in a token, for which a Sigstore instance
// vouches.
func (o *signOptions) byIdentity(ctx context.Context, g *globals, path string, options oms.SignOptions) (*oms.Signed, string, error) {
	if o.certificate != "" || len(o.chain) > 0 {
		return nil, "", usage("--identity-token brings a certificate of its own: leave --signing-certificate and --certificate-chain out")
	}
	by, err := o.identity(g)
	if err != nil {
		return nil, "", err
	}
	s, err := oms.SignBy(ctx, path, by.Seal, options)
	return s, by.Who().Signer, err
}

func (o *signOptions) identity(g *globals) (*keyless.Signer, error) {
	trusted := o.trusted
	if trusted == "" {
		conf, err := g.loadConfig()
		if err != nil {
			return nil, err
		}
		trusted = conf.Trust.TrustedRoot
	}
	if trusted == "" || o.services == "" {
		return nil, usage("--identity-token needs --signing-config and --trusted-root: where to sign, and how to check what came back").
			WithHint("save signing_config.json and trusted_root.json of your Sigstore instance")
	}
	root, err := readRoot(trusted)
	if err != nil {
		return nil, err
	}
	var by *keyless.Signer
	with := func(token io.Reader) error {
		return readNamed(o.services, "signing configuration", func(services io.Reader) (err error) {
			by, err = root.NewSigner(services, token, g.Now())
			return err
		})
	}
	if o.token == "-" {
		err = with(g.Stdin)
	} else {
		err = readNamed(o.token, "identity token", with)
	}
	return by, err
}

// vouch records that a version was signed or verified, where there is a state
// directory to record it in. Signing and verifying work without one; that
// the record could not be made is said and no more.
func (g *globals) vouch(ctx context.Context, v trust.Vouch) bool {
	if !g.stateExists() {
		return false
	}
	err := g.with(ctx, func(s *session) error { return s.recordTrust(ctx, trust.KindVouched, v) })
	if err != nil {
		g.log().Warn("not recorded", "how", string(v.How), "error", err)
	}
	return err == nil
}
