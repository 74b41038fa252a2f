package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

type verifyOptions struct {
	trustFlags
	ignoreFlags
	signature     string
	failUncovered bool
}

func (o *verifyOptions) addFlags(f *pflag.FlagSet) {
	o.trustFlags.add(f)
	f.StringVar(&o.signature, "signature", "", "signature `file` (default PATH/model.sig, then PATH/.signatures/)")
	o.ignoreFlags.add(f, "do not verify this `path` (repeatable); it is reported as uncovered", "accept symbolic links to files inside the model")
	f.BoolVar(&o.failUncovered, "fail-uncovered", false, "count files that no signature covers as tampering")
}

const verifyLong = `Verifies a model's signature and every file against it. Accepted are OpenSSF
Model Signing bundles (model.sig) and the form of the published guide:
.signatures/manifest.json with a cosign blob signature beside it.

Trusted are the keys, certificates and identities given here, else those under
trust: in the configuration. Nothing is fetched: sigstore signatures are
verified with the bundle and the trusted root alone. Exit code 0 means verified, 1 tampered, 3 not signed by
anybody trusted, 4 not readable.`

func newVerify(g *globals) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use: "verify PATH", Short: "Verify a model's signature and every file against it",
		Long: verifyLong, Args: cobra.ExactArgs(1),
		Example: "  weightwarden verify models/sentiment-v2 --public-key release.pub\n" +
			"  weightwarden verify models/sentiment-v2 --identity releases@example.com --identity-provider https://accounts.example.com --trusted-root trusted_root.json",
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runVerify(ctx context.Context, g *globals, o verifyOptions, path string) error {
	keys, err := g.configuredTrust(o.trustFlags)
	if err != nil {
		return err
	}
	ignored, err := o.inside(path)
	if err != nil {
		return err
	}
	progress := newProgress(g)
	r, err := verifyDeployed(ctx, path, oms.VerifyOptions{
		Signature: o.signature, Trust: keys, IgnorePaths: ignored, KeepGitPaths: o.keepGitPaths(), AllowSymlinks: o.symlinksAccepted,
		FailUncovered: o.failUncovered, Now: g.Now(),
		Progress: func(m manifest.Progress) { progress.hashing(path, m) },
	})
	progress.done()
	if err != nil {
		return err
	}
	if err := g.denied(ctx, r.Result); err != nil {
		return err
	}
	if r.Verdict == oms.Verified {
		g.vouch(ctx, trust.Vouch{Root: r.RootDigest, How: trust.Verified, Who: r.Signer})
	}
	if err := g.print(r, func(p *printer) { printVerification(p, r) }); err != nil {
		return err
	}
	return outcome(r.Verdict == oms.Tampered, r.Verdict == oms.Untrusted, r.Verdict == oms.Error)
}

// configuredTrust is the trust of the flags, else that of the configuration.
func (g *globals) configuredTrust(f trustFlags) (oms.Trust, error) {
	conf, err := g.loadConfig()
	if err != nil {
		return oms.Trust{}, err
	}
	return (&session{globals: g, conf: conf}).trust(f)
}

// denied makes a verified model untrusted that is on this host's deny-list.
func (g *globals) denied(ctx context.Context, r *oms.Result) error {
	if r.Verdict != oms.Verified || !g.stateExists() {
		return nil
	}
	return g.with(ctx, func(s *session) error {
		state, err := s.trusted(ctx)
		if err != nil {
			return err
		}
		d, listed := state.DeniedAmong(r.RootDigest, r.Covered)
		if !listed {
			d, listed = state.DeniedSigner(r.KeyHint, r.Signer)
		}
		if listed {
			r.Verdict = oms.Untrusted
			r.Reasons = append(r.Reasons, d.Body.String())
		}
		return nil
	})
}

func printVerification(p *printer, r *deployed) {
	p.printf("%-10s  %s\n", r.Verdict, artifact.Quote(r.Path))
	printLayout(p, r.Layout)
	if r.Method != "" {
		p.printf("method      %s\nsigner      %s\n", r.Method, artifact.Quote(r.Signer))
	}
	if !r.RootDigest.IsZero() {
		p.printf("root        %s\n", r.RootDigest)
	}
	p.printf("covered     %s, %s\n", plural(r.Files, "file", "files"), bytesText(r.Bytes))
	for _, m := range r.Mismatches {
		p.printf("  %-10s  %s\n", m.Kind, artifact.Quote(m.File))
	}
	for _, path := range r.Uncovered {
		p.printf("  uncovered   %s\n", artifact.Quote(path))
	}
	for _, reason := range r.Reasons {
		p.printf("note        %s\n", oneLine(reason))
	}
}
