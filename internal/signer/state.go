package signer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// The files of the state key.
const (
	stateKeyFile    = "state.key"
	statePublicFile = "state.pub"
)

// StateKey returns the key that signs the ledger and the baselines of the
// state directory dir: <dir>/state.key, Ed25519 in PKCS#8 PEM, made on first
// use, mode 0600. However many processes use the directory for the first time
// at once, they end up with one key. Beside it, <dir>/state.pub holds the
// public key in the vkey form of C2SP signed-note.
//
// The name in signatures is "weightwarden/" and the first 16 hex digits of the
// SHA-256 of the public key. A key that others than its owner can read is
// refused with a [fault.Refused]: whoever read it can have rewritten every
// record. A nil random is crypto/rand.
func StateKey(dir string, random io.Reader) (evidence.SigningKey, error) {
	if random == nil {
		random = rand.Reader
	}
	key, err := loadStateKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeStateKey(dir, random); err == nil {
			key, err = loadStateKey(dir) // the one that won
		}
	}
	if err == nil {
		err = writeStatePublic(dir, key)
	}
	if err != nil {
		return evidence.SigningKey{}, stateFault(dir, err)
	}
	return key, nil
}

func stateFault(dir string, err error) error {
	f := fault.New(fault.Incomplete, "state key %s: %w", artifact.Quote(filepath.Join(dir, stateKeyFile)), err)
	if kind := fault.KindOf(err); kind != fault.Internal {
		f.Kind = kind
	}
	if fault.HintOf(err) == "" {
		f = f.WithHint("check that the state directory is yours and may be written to, or choose another with --state")
	}
	return f
}

func loadStateKey(dir string) (evidence.SigningKey, error) {
	f, err := os.Open(filepath.Join(dir, stateKeyFile))
	if err != nil {
		return evidence.SigningKey{}, fmt.Errorf("open: %w", cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return evidence.SigningKey{}, cause(err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return evidence.SigningKey{}, fault.New(fault.Refused, "others than its owner can use it (mode %04o)", perm).
			WithHint("if nobody else can have read it: chmod 600 %s; otherwise move the state directory away and start a new one",
				artifact.Quote(filepath.Join(dir, stateKeyFile)))
	}
	data, err := readRegular(f)
	if err != nil {
		return evidence.SigningKey{}, cause(err)
	}
	return parseStateKey(data)
}

func parseStateKey(data []byte) (evidence.SigningKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != blockPKCS8 || len(rest) > 0 {
		return evidence.SigningKey{}, damaged(errors.New("it is not one private key in PEM"))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return evidence.SigningKey{}, damaged(err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return evidence.SigningKey{}, damaged(fmt.Errorf("it is a %T, not an Ed25519 key", parsed))
	}
	return evidence.SigningKey{Name: stateKeyName(key), Key: key}, nil
}

func damaged(err error) error {
	return fault.New(fault.Incomplete, "%w", err).
		WithHint("restore the file from a backup; without it the records cannot be continued, only verified with state.pub")
}

func stateKeyName(key ed25519.PrivateKey) string {
	pub := evidence.SigningKey{Key: key}.Public().Key
	return "weightwarden/" + artifact.SHA256Of(pub).Hex()[:16]
}

// makeStateKey puts a new key in place, complete and synced, unless another
// process was faster: a link, unlike a rename, never replaces.
func makeStateKey(dir string, random io.Reader) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cause(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, statePublicFile)); err == nil {
		// The key is made first. The other process may have done both since.
		if _, err := os.Lstat(filepath.Join(dir, stateKeyFile)); err == nil {
			return nil
		}
		return damaged(errors.New("the file is gone, and " + statePublicFile + " shows that there was one"))
	}
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: blockPKCS8, Bytes: der})
	err = throughTemp(dir, text, 0o600, func(temp string) error {
		err := os.Link(temp, filepath.Join(dir, stateKeyFile))
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("make key: %w", cause(err))
	}
	return nil
}

// throughTemp writes data to a new file in dir, syncs it, lets place give it
// its name, and syncs the directory. The temporary name is gone afterwards.
func throughTemp(dir string, data []byte, mode fs.FileMode, place func(temp string) error) (err error) {
	f, err := os.CreateTemp(dir, ".key.*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if rmErr := os.Remove(f.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, cause(rmErr))
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = place(f.Name()); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeStatePublic makes state.pub say what the key says.
func writeStatePublic(dir string, key evidence.SigningKey) error {
	path, text := filepath.Join(dir, statePublicFile), key.Public().String()+"\n"
	old, err := os.ReadFile(path)
	switch {
	case err == nil && string(old) == text:
		return nil
	case err == nil:
		return damaged(errors.New(statePublicFile + " is that of another key"))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read %s: %w", statePublicFile, cause(err))
	}
	err = throughTemp(dir, []byte(text), 0o644, func(temp string) error { return os.Rename(temp, path) })
	if err != nil {
		return fmt.Errorf("write %s: %w", statePublicFile, cause(err))
	}
	return nil
}
