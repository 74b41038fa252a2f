package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// maxKeyFile bounds what is read of a key file, in bytes: a chain of
// certificates with commentary fits many times.
const maxKeyFile = 1 << 20

// The types of PEM blocks.
const (
	blockPKCS8      = "PRIVATE KEY"
	blockSEC1       = "EC PRIVATE KEY"
	blockParameters = "EC PARAMETERS"
	blockPublic     = "PUBLIC KEY"
	blockCert       = "CERTIFICATE"
	blockSigstore   = "ENCRYPTED SIGSTORE PRIVATE KEY"
	blockCosign     = "ENCRYPTED COSIGN PRIVATE KEY"
)

// Generate returns a new ECDSA key on P-256, which everything that verifies
// model signatures accepts.
func Generate(random io.Reader) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return key, nil
}

// LoadPrivateKey reads the one private key of a PEM file: PKCS#8, SEC1, or
// encrypted by cosign. The password function is called only for an encrypted
// key, and at most once; nil means that there is no password to be had.
// Errors are a [fault.NotFound], [fault.Incomplete] or [fault.Invalid].
func LoadPrivateKey(path string, password func() ([]byte, error)) (crypto.Signer, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parsePrivateKey(data, password)
	if err != nil {
		return nil, keyFault(path, err)
	}
	return key, nil
}

// keyFault names the file in whatever is wrong with it, and keeps the hint.
func keyFault(path string, err error) error {
	f := fault.New(fault.Invalid, "read key %s: %w", artifact.Quote(path), err)
	if kind := fault.KindOf(err); kind != fault.Internal {
		f.Kind = kind
	}
	return f
}

func parsePrivateKey(data []byte, password func() ([]byte, error)) (crypto.Signer, error) {
	var key crypto.Signer
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found, err := privateBlock(block, password)
		if err != nil {
			return nil, err
		}
		if found != nil && key != nil {
			return nil, errors.New("it holds more than one private key")
		}
		if found != nil {
			key = found
		}
	}
	if key == nil {
		return nil, fault.New(fault.Invalid, "it holds no private key in PEM").
			WithHint("want a PRIVATE KEY, EC PRIVATE KEY or ENCRYPTED SIGSTORE PRIVATE KEY block; make one with: weightwarden key generate --out PREFIX")
	}
	return key, nil
}

// privateBlock returns the key in a block, or nil when it holds something
// harmless else.
func privateBlock(block *pem.Block, password func() ([]byte, error)) (crypto.Signer, error) {
	switch block.Type {
	case blockPKCS8:
		return pkcs8(block.Bytes)
	case blockSEC1:
		if block.Headers["DEK-Info"] != "" {
			return nil, errOldEncryption()
		}
		return x509.ParseECPrivateKey(block.Bytes)
	case blockSigstore, blockCosign:
		return decrypt(block.Bytes, password)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errOldEncryption()
	case blockParameters, blockPublic, blockCert:
		return nil, nil
	default:
		return nil, fmt.Errorf("a PEM block of type %.60q is none that is read here", block.Type)
	}
}

func errOldEncryption() error {
	return fault.New(fault.Invalid, "keys encrypted by OpenSSL are not read").
		WithHint("decrypt it with: openssl pkey -in FILE -out PLAIN.pem; or import it with: cosign import-key-pair --key PLAIN.pem")
}

func pkcs8(der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse PKCS#8: %w", err)
	}
	switch key := parsed.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	default:
		return nil, fault.New(fault.Invalid, "a key of type %T cannot sign models", parsed).
			WithHint("make an ECDSA key with: weightwarden key generate --out PREFIX")
	}
}

// readKeyFile reads a regular file, not waiting for the writer of a FIFO.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "read key %s: there is no such file", artifact.Quote(path)).
			WithHint("check the path; make a key pair with: weightwarden key generate --out PREFIX")
	case err != nil:
		return nil, fault.New(fault.Incomplete, "read key %s: %w", artifact.Quote(path), cause(err)).
			WithHint("check who may read the file")
	}
	defer f.Close()
	data, err := readRegular(f)
	if err != nil {
		return nil, fault.New(fault.Incomplete, "read key %s: %w", artifact.Quote(path), cause(err))
	}
	return data, nil
}

func readRegular(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is a %s, not a file", artifact.KindOf(info.Mode()))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("it has more than %d bytes", maxKeyFile)
	}
	return data, err
}

// cause takes the path out of an error of package os, where it stands
// unquoted.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// WriteKeyPair writes the private key to PREFIX.pem, mode 0600, and the public
// key to PREFIX.pub, mode 0644, and returns their paths. With a nil password
// the private key is plain PKCS#8 in PEM; otherwise it is encrypted as cosign
// does, an empty password included. Neither file may exist: the error is a
// [fault.Conflict] then. When it fails it leaves no file behind. The encryption
// takes its randomness from crypto/rand: a salt is not worth a parameter.
func WriteKeyPair(prefix string, key *ecdsa.PrivateKey, password []byte) (private, public string, err error) {
	private, public = prefix+".pem", prefix+".pub"
	secret, err := encodePrivate(key, password, rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("encode key: %w", err)
	}
	open, err := encodePublic(key.Public())
	if err != nil {
		return "", "", fmt.Errorf("encode key: %w", err)
	}
	if err := create(private, secret, 0o600); err != nil {
		return "", "", err
	}
	if err := create(public, open, 0o644); err != nil {
		return "", "", errors.Join(err, os.Remove(private))
	}
	if err := syncDir(filepath.Dir(private)); err != nil {
		return "", "", fmt.Errorf("write key: %w", err)
	}
	return private, public, nil
}

func encodePrivate(key *ecdsa.PrivateKey, password []byte, random io.Reader) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	block := &pem.Block{Type: blockPKCS8, Bytes: der}
	if password != nil {
		if block, err = encrypt(der, password, random); err != nil {
			return nil, err
		}
	}
	return pem.EncodeToMemory(block), nil
}

func encodePublic(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPublic, Bytes: der}), nil
}

// create writes a file that must not exist yet.
func create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "write key %s: the file exists", artifact.Quote(path)).
			WithHint("a key is never overwritten: choose another prefix, or move the old key away")
	}
	if err != nil {
		return fault.New(fault.Incomplete, "write key %s: %w", artifact.Quote(path), cause(err)).
			WithHint("check that the directory exists and may be written to")
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask says
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write key %s: %w", artifact.Quote(path), cause(err)), os.Remove(path))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return cause(err)
	}
	return errors.Join(d.Sync(), d.Close())
}
