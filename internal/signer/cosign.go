package signer

import (
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// The parameters of new keys, cosign's own.
const (
	scryptN  = 65536
	scryptR  = 8
	scryptP  = 1
	saltSize = 32
	keySize  = 32
)

// acceptedN are the costs that cosign has ever written. Others are refused:
// they come from an attacker, and would cost memory or protect nothing.
var acceptedN = [...]int{32768, scryptN, 131072}

// encrypted is the body of a cosign key: a PKCS#8 key in a NaCl secretbox
// whose key scrypt makes from the password.
type encrypted struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct {
			N int `json:"N"`
			R int `json:"r"`
			P int `json:"p"`
		} `json:"params"`
		Salt []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

func encrypt(der, password []byte, random io.Reader) (*pem.Block, error) {
	var e encrypted
	e.KDF.Name, e.Cipher.Name = "scrypt", "nacl/secretbox"
	e.KDF.Params.N, e.KDF.Params.R, e.KDF.Params.P = scryptN, scryptR, scryptP
	e.KDF.Salt = make([]byte, saltSize)
	var nonce [24]byte
	for _, b := range [][]byte{e.KDF.Salt, nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("read random bytes: %w", err)
		}
	}
	e.Cipher.Nonce = nonce[:]
	key, err := e.key(password)
	if err != nil {
		return nil, err
	}
	e.Ciphertext = secretbox.Seal(nil, der, &nonce, key)
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return &pem.Block{Type: blockSigstore, Bytes: body}, nil
}

func (e *encrypted) key(password []byte) (*[keySize]byte, error) {
	p := e.KDF.Params
	derived, err := scrypt.Key(password, e.KDF.Salt, p.N, p.R, p.P, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return (*[keySize]byte)(derived), nil
}

// check refuses everything but what cosign writes, before any work is done
// with it.
func (e *encrypted) check() error {
	p, known := e.KDF.Params, false
	for _, n := range acceptedN {
		known = known || p.N == n
	}
	switch {
	case e.KDF.Name != "scrypt" || e.Cipher.Name != "nacl/secretbox":
		return fmt.Errorf("encrypted with %.20q and %.20q, not as cosign does", e.KDF.Name, e.Cipher.Name)
	case !known || p.R != scryptR || p.P != scryptP:
		return fmt.Errorf("scrypt parameters N=%d r=%d p=%d are none that cosign uses", p.N, p.R, p.P)
	case len(e.KDF.Salt) != saltSize || len(e.Cipher.Nonce) != 24:
		return fmt.Errorf("a salt of %d bytes and a nonce of %d, not as cosign has them", len(e.KDF.Salt), len(e.Cipher.Nonce))
	case len(e.Ciphertext) <= secretbox.Overhead:
		return errors.New("the encrypted key is empty")
	}
	return nil
}

// decrypt opens the body of a cosign key.
func decrypt(body []byte, password func() ([]byte, error)) (crypto.Signer, error) {
	var e encrypted
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, fmt.Errorf("parse encrypted key: %w", err)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if password == nil {
		return nil, fault.New(fault.Invalid, "the key is encrypted, and there is no password").
			WithHint("set COSIGN_PASSWORD, or run the command in a terminal to be asked")
	}
	secret, err := password()
	if err != nil {
		return nil, fmt.Errorf("ask for the password: %w", err)
	}
	key, err := e.key(secret)
	if err != nil {
		return nil, err
	}
	der, ok := secretbox.Open(nil, e.Ciphertext, (*[24]byte)(e.Cipher.Nonce), key)
	if !ok {
		return nil, fault.New(fault.Invalid, "the password is wrong, or the key was changed").
			WithHint("check COSIGN_PASSWORD; an empty password is one too")
	}
	return pkcs8(der)
}
