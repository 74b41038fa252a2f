package signer

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// blockOpenSSH is the type of PEM block that ssh-keygen writes.
const blockOpenSSH = "OPENSSH PRIVATE KEY"

// LoadPersonKey reads the private Ed25519 key that a person signs approvals
// with: one that ssh-keygen wrote, or a PKCS#8 one in PEM. The password
// function is as for [LoadPrivateKey], and so are the errors.
func LoadPersonKey(path string, password func() ([]byte, error)) (ed25519.PrivateKey, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parsePersonKey(data, password)
	if err != nil {
		return nil, keyFault(path, err)
	}
	return key, nil
}

func parsePersonKey(data []byte, password func() ([]byte, error)) (ed25519.PrivateKey, error) {
	var parsed any
	var err error
	if block, _ := pem.Decode(data); block != nil && block.Type == blockOpenSSH {
		parsed, err = openSSH(data, password)
	} else {
		parsed, err = parsePrivateKey(data, password)
	}
	if err != nil {
		return nil, err
	}
	switch key := parsed.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *ed25519.PrivateKey:
		return *key, nil
	default:
		return nil, fault.New(fault.Invalid, "a key of type %T cannot sign approvals", parsed).
			WithHint("make an Ed25519 key with: ssh-keygen -t ed25519 -f FILE")
	}
}

func openSSH(data []byte, password func() ([]byte, error)) (any, error) {
	key, err := ssh.ParseRawPrivateKey(data)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); !encrypted {
		return key, err
	}
	if password == nil {
		return nil, fault.New(fault.Invalid, "it is encrypted and there is nobody to ask for its password")
	}
	secret, err := password()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	key, err = ssh.ParseRawPrivateKeyWithPassphrase(data, secret)
	if err != nil {
		return nil, fmt.Errorf("decrypt it: %w", err)
	}
	return key, nil
}

// LoadPersonPublic reads the public key of a person: the .pub file of
// ssh-keygen, or Ed25519 keys in PEM.
func LoadPersonPublic(path string) (approval.Key, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return approval.Key{}, err
	}
	if block, _ := pem.Decode(data); block == nil {
		key, err := approval.ParseKey(string(data))
		if err != nil {
			return key, keyFault(path, err)
		}
		return key, nil
	}
	keys, err := parsePublicKeys(data)
	if err != nil {
		return approval.Key{}, keyFault(path, err)
	}
	point, ok := keys[0].(ed25519.PublicKey)
	if !ok || len(keys) > 1 {
		return approval.Key{}, keyFault(path, fmt.Errorf("want one Ed25519 key in %s", artifact.Quote(path)))
	}
	return approval.Key{Ed25519: point}, nil
}
