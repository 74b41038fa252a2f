package oms

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// The JSON of a bundle and its statement, as it is written.
type (
	jsonStatement struct {
		Type          string        `json:"_type"`
		Subject       []jsonSubject `json:"subject"`
		PredicateType string        `json:"predicateType"`
		Predicate     jsonPredicate `json:"predicate"`
	}
	jsonSubject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	jsonPredicate struct {
		Serialization jsonSerialization `json:"serialization"`
		Resources     []jsonResource    `json:"resources"`
	}
	jsonSerialization struct {
		Method        string   `json:"method"`
		HashType      string   `json:"hash_type"`
		AllowSymlinks bool     `json:"allow_symlinks"`
		IgnorePaths   []string `json:"ignore_paths,omitempty"`
	}
	jsonResource struct {
		Name      string `json:"name"`
		Algorithm string `json:"algorithm"`
		Digest    string `json:"digest"`
	}
	jsonBundle struct {
		MediaType string       `json:"mediaType"`
		Material  jsonMaterial `json:"verificationMaterial"`
		Envelope  jsonEnvelope `json:"dsseEnvelope"`
	}
	jsonMaterial struct {
		PublicKey   *jsonKey   `json:"publicKey,omitempty"`
		Chain       *jsonChain `json:"x509CertificateChain,omitempty"`
		TlogEntries []struct{} `json:"tlogEntries"`
	}
	jsonKey struct {
		Hint string `json:"hint"`
	}
	jsonChain struct {
		Certificates []jsonCertificate `json:"certificates"`
	}
	jsonCertificate struct {
		RawBytes []byte `json:"rawBytes"`
	}
	jsonEnvelope struct {
		Payload     []byte          `json:"payload"`
		PayloadType string          `json:"payloadType"`
		Signatures  []jsonSignature `json:"signatures"`
	}
	jsonSignature struct {
		Sig   []byte `json:"sig"`
		KeyID string `json:"keyid"`
	}
)

// statement returns the payload of a bundle over l.
func (l *listing) statement(name string, links bool) ([]byte, error) {
	s := jsonStatement{
		Type:          statementType,
		Subject:       []jsonSubject{{name, map[string]string{string(artifact.SHA256): l.root().Hex()}}},
		PredicateType: predicateV1,
		Predicate: jsonPredicate{Serialization: jsonSerialization{
			Method: "files", HashType: string(artifact.SHA256), AllowSymlinks: links, IgnorePaths: l.ignore,
		}},
	}
	for _, f := range l.files {
		s.Predicate.Resources = append(s.Predicate.Resources, jsonResource{f.Path, string(artifact.SHA256), f.Digest.Hex()})
	}
	return json.Marshal(s)
}

// signingMaterial says with what the signature will be verified.
func signingMaterial(key crypto.Signer, chain []*x509.Certificate) (jsonMaterial, error) {
	m := jsonMaterial{TlogEntries: []struct{}{}}
	if key == nil {
		return m, fault.New(fault.Invalid, "no key is given").WithHint("name one with --private-key")
	}
	pub, _, ok := curveHash(key.Public())
	if !ok {
		return m, fault.New(fault.Invalid, "the key is not ECDSA on P-256, P-384 or P-521").
			WithHint("make one with: weightwarden key generate --out PREFIX")
	}
	if len(chain) == 0 {
		hint, err := KeyHint(pub)
		m.PublicKey = &jsonKey{hint}
		return m, err
	}
	if !pub.Equal(chain[0].PublicKey) {
		return m, fault.New(fault.Invalid, "the first certificate is not that of the key").
			WithHint("give the signing certificate that was issued for this key")
	}
	m.Chain = &jsonChain{}
	for _, c := range chain {
		m.Chain.Certificates = append(m.Chain.Certificates, jsonCertificate{c.Raw})
	}
	return m, nil
}

// seal signs payload and returns the bundle. The signature is verified before
// it is let out: a token or a service may have signed with another key.
func seal(payload []byte, key crypto.Signer, material jsonMaterial, random io.Reader) ([]byte, error) {
	message := preAuth(payloadType, payload)
	_, h, ok := curveHash(key.Public())
	if !ok {
		return nil, fault.New(fault.Invalid, "the key is not ECDSA on P-256, P-384 or P-521")
	}
	sig, err := key.Sign(random, hashed(h, message), h)
	if err != nil {
		return nil, fmt.Errorf("make signature: %w", err)
	}
	if !validSignature(key.Public(), message, sig) {
		return nil, errors.New("make signature: it does not verify with the key's own public half")
	}
	return json.Marshal(jsonBundle{bundleType, material, jsonEnvelope{
		Payload: payload, PayloadType: payloadType, Signatures: []jsonSignature{{Sig: sig}},
	}})
}

// writeFile puts data at path by way of a temporary file beside it, so that a
// reader, or a crash, finds the old file or the new one. Mode 0644: a
// signature is for everybody to check.
func writeFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return cause(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(cause(err), os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	for _, step := range []func() error{func() error { return f.Chmod(0o644) }, f.Sync} {
		if err == nil {
			err = step()
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
