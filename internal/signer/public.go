package signer

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// LoadPublicKeys returns the keys of all PUBLIC KEY and CERTIFICATE blocks of
// a PEM file, in their order, each once. A certificate is a container here: its
// key is taken whatever its dates and issuer say. Blocks of other types are
// passed over, except that a private key is an error, and so is a file without
// a key.
func LoadPublicKeys(path string) ([]crypto.PublicKey, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := parsePublicKeys(data)
	if err != nil {
		return nil, keyFault(path, err)
	}
	return keys, nil
}

// LoadCertificates returns the CERTIFICATE blocks of a PEM file, in their
// order.
func LoadCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCert {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, keyFault(path, fmt.Errorf("parse certificate %d: %w", len(certs)+1, err))
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, keyFault(path, fault.New(fault.Invalid, "it holds no certificate in PEM"))
	}
	return certs, nil
}

func parsePublicKeys(data []byte) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	seen := map[string]bool{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		key, err := publicBlock(block)
		if err != nil {
			return nil, err
		}
		if key == nil {
			continue
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("encode public key: %w", err)
		}
		if !seen[string(der)] {
			seen[string(der)] = true
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fault.New(fault.Invalid, "it holds no public key in PEM").
			WithHint("want a PUBLIC KEY or CERTIFICATE block; from a private key: openssl pkey -in KEY.pem -pubout")
	}
	return keys, nil
}

func publicBlock(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case blockPublic:
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse public key: %w", err)
		}
		return key, nil
	case blockCert:
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		return cert.PublicKey, nil
	case blockPKCS8, blockSEC1, blockSigstore, blockCosign:
		return nil, fault.New(fault.Invalid, "it holds a private key where a public one is wanted").
			WithHint("use the .pub file; a private key is not needed to verify and should not be here")
	default:
		return nil, nil
	}
}
