package cli

import (
	"bytes"
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/signer"
)

// passwordFlags say where the password of an encrypted key comes from.
type passwordFlags struct{ file string }

func (f *passwordFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.file, "password-file", "", "`file` with the password of an encrypted key, - for standard input (default $COSIGN_PASSWORD, else it is asked for on a terminal)")
}

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 4096

// read returns a function that fetches the password when it is needed. A new
// password is asked for again, where it is asked for at all.
func (f *passwordFlags) read(g *globals) func() ([]byte, error) { return f.fetch(g, false) }

func (f *passwordFlags) fetch(g *globals, again bool) func() ([]byte, error) {
	return func() ([]byte, error) {
		if f.file == "" {
			if p := g.Getenv("COSIGN_PASSWORD"); p != "" {
				return []byte(p), nil
			}
			return g.askPassword(again)
		}
		in := g.Stdin
		if f.file != "-" {
			file, err := os.Open(f.file)
			if err != nil {
				return nil, fault.New(fault.Invalid, "read password: %w", err)
			}
			defer func() { _ = file.Close() }()
			in = file
		}
		data, err := io.ReadAll(io.LimitReader(in, maxPassword))
		if err != nil {
			return nil, fault.New(fault.Invalid, "read password: %w", err)
		}
		return bytes.TrimRight(data, "\r\n"), nil
	}
}

// askPassword asks a person.
func (g *globals) askPassword(again bool) ([]byte, error) {
	if g.ReadPassword == nil {
		return nil, usage("the key is encrypted and there is no password: use --password-file or COSIGN_PASSWORD")
	}
	password, err := g.ReadPassword("Password of the private key: ")
	if err != nil || !again {
		return password, err
	}
	second, err := g.ReadPassword("The same again: ")
	if err == nil && !bytes.Equal(password, second) {
		return nil, usage("the two passwords differ")
	}
	return password, err
}

func newKey(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Signing keys"}
	cmd.AddCommand(newKeyGenerate(g))
	return cmd
}

type keyOptions struct {
	out       string
	encrypted bool
	password  passwordFlags
}

func newKeyGenerate(g *globals) *cobra.Command {
	var o keyOptions
	cmd := &cobra.Command{
		Use: "generate --out PREFIX", Short: "Make an ECDSA P-256 key pair",
		Long: `Writes PREFIX.pem, the private key (mode 0600), and PREFIX.pub, the public key.
With --encrypted the private key has the encrypted form of cosign. Existing
files are not overwritten.`,
		Args: cobra.NoArgs, Example: "  weightwarden key generate --out release",
		RunE: func(cmd *cobra.Command, _ []string) error { return runKeyGenerate(cmd.Context(), g, o) },
	}
	cmd.Flags().StringVar(&o.out, "out", "", "`prefix` of the two files")
	cmd.Flags().BoolVar(&o.encrypted, "encrypted", false, "encrypt the private key with a password")
	o.password.add(cmd.Flags())
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

func runKeyGenerate(_ context.Context, g *globals, o keyOptions) error {
	var password []byte
	if o.encrypted {
		var err error
		if password, err = o.password.fetch(g, true)(); err != nil {
			return err
		}
		if len(password) == 0 {
			return usage("key generate --encrypted: the password is empty")
		}
	}
	key, err := signer.Generate(g.Random)
	if err != nil {
		return err
	}
	private, public, err := signer.WriteKeyPair(o.out, key, password)
	if err != nil {
		return err
	}
	hint, err := oms.KeyHint(key.Public())
	if err != nil {
		return err
	}
	out := struct {
		PrivateKey string `json:"private_key"`
		PublicKey  string `json:"public_key"`
		Hint       string `json:"hint"`
	}{private, public, hint}
	return g.print(out, func(p *printer) {
		p.printf("private key  %s (keep it off this host when you can)\npublic key   %s\nhint         %s\n", private, public, hint)
	})
}
