package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/trust"
)

type signOptions struct {
	privateKey, signature string
	ignore                []string
	symlinks              bool
	password              passwordFlags
}

func (o *signOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.privateKey, "private-key", "", "PEM `file` of the private key (ECDSA)")
	f.StringVar(&o.signature, "signature", "", "write the signature to this `file` (default PATH/model.sig)")
	f.StringArrayVar(&o.ignore, "ignore-paths", nil, "leave this `path` of the model out of the signature (repeatable)")
	f.BoolVar(&o.symlinks, "allow-symlinks", false, "sign what symbolic links to files inside the model lead to")
	o.password.add(f)
}

func newSign(g *globals) *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use: "sign PATH", Short: "Sign a model (OpenSSF Model Signing v1.0)",
		Long: `Signs every file of a model with an ECDSA key and writes the signature in the
OpenSSF Model Signing form, which other tools verify too. The version is
recorded as signed now when there is a state directory: rollback asks for that.`,
		Example: "  weightwarden key generate --out release\n  weightwarden sign models/sentiment-v2 --private-key release.pem",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runSign(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	_ = cmd.MarkFlagRequired("private-key")
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
	key, err := signer.LoadPrivateKey(o.privateKey, o.password.read(g))
	if err != nil {
		return err
	}
	hint, err := oms.KeyHint(key.Public())
	if err != nil {
		return err
	}
	s, err := oms.Sign(ctx, path, key, oms.SignOptions{Signature: o.signature, IgnorePaths: o.ignore, AllowSymlinks: o.symlinks})
	if err != nil {
		return err
	}
	out := signed{Path: path, Signature: s.Signature, RootDigest: s.RootDigest, Files: s.Files, Bytes: s.Bytes, Signer: hint}
	out.Recorded = g.vouch(ctx, trust.Vouch{Root: s.RootDigest, How: trust.Signed, Who: hint})
	return g.print(out, func(p *printer) {
		p.printf("signed %s: %s, %s\nroot digest %s\nsignature in %s\n", artifact.Quote(path),
			plural(out.Files, "file", "files"), bytesText(out.Bytes), out.RootDigest, artifact.Quote(out.Signature))
	})
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
