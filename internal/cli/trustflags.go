package cli

import (
	"crypto/x509"
	"os"

	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/signer"
)

// trustFlags say whose signatures count.
type trustFlags struct {
	publicKeys, chains []string
	expiredLeaf        bool
}

func (f *trustFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.publicKeys, "public-key", nil, "PEM `file` of public keys to trust (repeatable)")
	flags.StringArrayVar(&f.chains, "certificate-chain", nil, "PEM `file` of root certificates to trust (repeatable)")
	flags.BoolVar(&f.expiredLeaf, "allow-expired-leaf", false, "accept a signing certificate that has expired, to read old bundles")
}

func (f *trustFlags) empty() bool { return len(f.publicKeys)+len(f.chains) == 0 }

// trust loads what the flags name.
func (f *trustFlags) trust() (oms.Trust, error) {
	t := oms.Trust{AllowExpiredLeaf: f.expiredLeaf}
	for _, path := range f.publicKeys {
		keys, err := signer.LoadPublicKeys(path)
		if err != nil {
			return oms.Trust{}, err
		}
		t.Keys = append(t.Keys, keys...)
	}
	for _, path := range f.chains {
		if t.Roots == nil {
			t.Roots = x509.NewCertPool()
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return oms.Trust{}, fault.New(fault.Invalid, "read certificate chain: %w", err)
		}
		if !t.Roots.AppendCertsFromPEM(data) {
			return oms.Trust{}, fault.New(fault.Invalid, "read certificate chain %s: no certificate in it", artifact.Quote(path))
		}
	}
	return t, nil
}
