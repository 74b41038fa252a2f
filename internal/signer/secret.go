package signer

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// blockSecretFile is the file of the secret for block tags.
const blockSecretFile = "blocks.key"

// blockSecretSize is its length in bytes; the file holds it in hex.
const blockSecretSize = 32

// BlockSecret returns the secret under which blocks of models are tagged for
// re-checks: <dir>/blocks.key, made on first use, mode 0600. Like the state
// key it is the same for all processes, and refused with a [fault.Refused]
// when others than its owner can read it. Unlike that it may be removed: tags
// made under it are of no use then, and are made anew at the next full check.
// A nil random is crypto/rand.
func BlockSecret(dir string, random io.Reader) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	secret, err := loadBlockSecret(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeBlockSecret(dir, random); err == nil {
			secret, err = loadBlockSecret(dir) // the one that won
		}
	}
	if err != nil {
		path := artifact.Quote(filepath.Join(dir, blockSecretFile))
		if fault.HintOf(err) != "" {
			return nil, fmt.Errorf("secret of block tags %s: %w", path, err)
		}
		return nil, fault.New(fault.Incomplete, "secret of block tags %s: %w", path, err).
			WithHint("remove the file: a new one is made, and the next check reads everything")
	}
	return secret, nil
}

func loadBlockSecret(dir string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, blockSecretFile))
	if err != nil {
		return nil, fmt.Errorf("open: %w", cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fault.New(fault.Refused, "others than its owner can use it (mode %04o)", perm).
			WithHint("remove the file: a new one is made, and the next check reads everything")
	}
	data, err := readRegular(f)
	if err != nil {
		return nil, cause(err)
	}
	secret, err := hex.DecodeString(strings.TrimSuffix(string(data), "\n"))
	if err != nil || len(secret) != blockSecretSize {
		return nil, errors.New("it does not hold a secret")
	}
	return secret, nil
}

// makeBlockSecret puts a new secret in place, unless another process was
// faster.
func makeBlockSecret(dir string, random io.Reader) error {
	secret := make([]byte, blockSecretSize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return throughTemp(dir, []byte(hex.EncodeToString(secret)+"\n"), 0o600, func(temp string) error {
		err := os.Link(temp, filepath.Join(dir, blockSecretFile))
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	})
}
