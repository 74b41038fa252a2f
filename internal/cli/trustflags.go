package cli

import (
	"bytes"
	"crypto/x509"
	"io"
	"os"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/oms/keyless"
	"github.com/weightwarden/weightwarden/internal/signer"
)

// trustFlags say whose signatures count.
type trustFlags struct {
	publicKeys, chains          []string
	identity, provider, root    string
	expiredLeaf, serverLeafGood bool
}

func (f *trustFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.publicKeys, "public-key", nil, "PEM `file` of public keys to trust (repeatable)")
	flags.StringArrayVar(&f.chains, "certificate-chain", nil, "PEM `file` of root certificates to trust, and of intermediates that lead to them (repeatable)")
	flags.StringVar(&f.identity, "identity", "", "trust sigstore signatures of exactly this `name`, an e-mail address or URL")
	flags.StringVar(&f.provider, "identity-provider", "", "`URL` of the OpenID Connect issuer that has to vouch for --identity")
	flags.StringVar(&f.root, "trusted-root", "", "`file` trusted_root.json of the Sigstore instance (default trusted_root in the configuration)")
	flags.BoolVar(&f.expiredLeaf, "allow-expired-leaf", false, "accept a signing certificate that has expired, to read old bundles")
	flags.BoolVar(&f.serverLeafGood, "allow-server-certificates", false, "accept a signing certificate that was made for servers, not for signing code")
}

// whom says who is trusted: what the flags name, else what the configuration
// does.
func (f *trustFlags) whom(conf config.Trust) (config.Trust, error) {
	if (f.identity == "") != (f.provider == "") {
		return config.Trust{}, usage("--identity and --identity-provider belong together: a name that anybody may vouch for is nobody's").
			WithHint("both stand in the certificate: the e-mail address or URL, and the issuer that checked it")
	}
	t := config.Trust{PublicKeys: f.publicKeys, CertificateChains: f.chains, TrustedRoot: conf.TrustedRoot}
	if f.identity != "" {
		t.Identities = []config.Identity{{Name: f.identity, Issuer: f.provider}}
	}
	if len(t.PublicKeys)+len(t.CertificateChains)+len(t.Identities) == 0 {
		t = conf
	}
	if f.root != "" {
		t.TrustedRoot = f.root
	}
	if len(t.Identities) > 0 && t.TrustedRoot == "" {
		return t, usage("--identity needs --trusted-root: the file that says which authorities vouch for identities").
			WithHint("save the trusted_root.json of your Sigstore instance, and name it here or as trusted_root in the configuration")
	}
	return t, nil
}

// trust loads what the flags or the configuration name.
func (f *trustFlags) trust(conf config.Trust) (oms.Trust, error) {
	whom, err := f.whom(conf)
	if err != nil {
		return oms.Trust{}, err
	}
	t := oms.Trust{AllowExpiredLeaf: f.expiredLeaf, AllowServerCertificates: f.serverLeafGood}
	for _, path := range whom.PublicKeys {
		keys, err := signer.LoadPublicKeys(path)
		if err != nil {
			return oms.Trust{}, err
		}
		t.Keys = append(t.Keys, keys...)
	}
	var certs []*x509.Certificate
	for _, path := range whom.CertificateChains {
		more, err := signer.LoadCertificates(path)
		if err != nil {
			return oms.Trust{}, err
		}
		certs = append(certs, more...)
	}
	t.Roots, t.Intermediates = pools(certs)
	if whom.TrustedRoot == "" {
		return t, nil
	}
	return t, sigstore(&t, whom)
}

// pools parts certificates into those that are trusted and those that lead to
// them. An authority that signed itself is trusted; where there is none, all
// are: somebody trusts an intermediate, and nobody else below its root.
func pools(certs []*x509.Certificate) (roots, intermediates *x509.CertPool) {
	if len(certs) == 0 {
		return nil, nil
	}
	roots, intermediates = x509.NewCertPool(), x509.NewCertPool()
	anchored := false
	for _, c := range certs {
		if bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil {
			roots.AddCert(c)
			anchored = true
			continue
		}
		intermediates.AddCert(c)
	}
	if !anchored {
		return intermediates, nil
	}
	return roots, intermediates
}

// sigstore adds what the trusted root allows: identities and times.
func sigstore(t *oms.Trust, whom config.Trust) error {
	root, err := readRoot(whom.TrustedRoot)
	if err != nil {
		return err
	}
	t.Timestamp = root.Timestamp
	if len(whom.Identities) == 0 {
		return nil
	}
	var ids []keyless.Identity
	for _, id := range whom.Identities {
		ids = append(ids, keyless.Identity(id))
	}
	t.Keyless, err = root.Verifier(ids...)
	return err
}

func readRoot(path string) (root *keyless.Root, err error) {
	err = readNamed(path, "trusted root", func(r io.Reader) (err error) {
		root, err = keyless.ReadRoot(r)
		return err
	})
	return root, err
}

// readNamed reads a file that the user named. It does not wait for the writer
// of a FIFO.
func readNamed(path, what string, read func(io.Reader) error) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fault.New(fault.Invalid, "read %s: %w", what, err).WithHint("check the path")
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fault.New(fault.Invalid, "read %s: %s is not a file", what, artifact.Quote(path))
	}
	return read(f)
}
