package oms

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The naive verifier is written from the specification alone, as short as it
// can be, with nothing of this package: key method, whole files, SHA-256. It
// reads everything into memory and trusts encoding/json.

type naiveBundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	DsseEnvelope struct {
		Payload     string `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			Sig string `json:"sig"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

type naiveStatement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	PredicateType string `json:"predicateType"`
	Predicate     struct {
		Serialization struct {
			Method      string   `json:"method"`
			HashType    string   `json:"hash_type"`
			IgnorePaths []string `json:"ignore_paths"`
		} `json:"serialization"`
		Resources []struct{ Name, Algorithm, Digest string } `json:"resources"`
	} `json:"predicate"`
}

// naiveVerify returns nil when the model in dir is what key signed.
func naiveVerify(dir string, key *ecdsa.PublicKey) error {
	raw, err := os.ReadFile(filepath.Join(dir, "model.sig"))
	if err != nil {
		return err
	}
	var b naiveBundle
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	payload, err := naiveSigned(b, key)
	if err != nil {
		return err
	}
	var s naiveStatement
	if err := json.Unmarshal(payload, &s); err != nil {
		return err
	}
	want, err := naiveListed(s)
	if err != nil {
		return err
	}
	ignored := append([]string{"model.sig", ".git", ".gitattributes", ".github", ".gitignore"}, s.Predicate.Serialization.IgnorePaths...)
	return naiveFiles(dir, want, ignored)
}

func naiveSigned(b naiveBundle, key *ecdsa.PublicKey) ([]byte, error) {
	e := b.DsseEnvelope
	if b.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" || e.PayloadType != "application/vnd.in-toto+json" || len(e.Signatures) != 1 {
		return nil, errors.New("not such a bundle")
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	hint := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if h := b.VerificationMaterial.PublicKey.Hint; h != "" && h != hex.EncodeToString(hint[:]) {
		return nil, errors.New("another key")
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return nil, err
	}
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(payload), payload))
	if !ecdsa.VerifyASN1(key, sum[:], sig) {
		return nil, errors.New("bad signature")
	}
	return payload, nil
}

func naiveListed(s naiveStatement) (map[string]string, error) {
	p := s.Predicate
	if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != "https://model_signing/signature/v1.0" ||
		p.Serialization.Method != "files" || p.Serialization.HashType != "sha256" || len(s.Subject) != 1 || len(p.Resources) == 0 {
		return nil, errors.New("not such a statement")
	}
	want, root := map[string]string{}, sha256.New()
	for _, r := range p.Resources {
		digest, err := hex.DecodeString(r.Digest)
		if _, twice := want[r.Name]; err != nil || twice || r.Algorithm != "sha256" || !fs.ValidPath(r.Name) {
			return nil, fmt.Errorf("bad resource %q", r.Name)
		}
		root.Write(digest)
		want[r.Name] = r.Digest
	}
	if hex.EncodeToString(root.Sum(nil)) != s.Subject[0].Digest["sha256"] {
		return nil, errors.New("bad root digest")
	}
	return want, nil
}

func naiveFiles(dir string, want map[string]string, ignored []string) error {
	seen := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(dir, p)
		if err != nil || relErr != nil || d.IsDir() {
			return errors.Join(err, relErr)
		}
		expected, listed := want[rel]
		if !listed && slices.ContainsFunc(ignored, func(i string) bool { return rel == i || strings.HasPrefix(rel, i+"/") }) {
			return nil
		}
		if !listed || !d.Type().IsRegular() {
			return fmt.Errorf("%q is not signed", rel)
		}
		data, err := os.ReadFile(p)
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != expected {
			return fmt.Errorf("%q differs", rel)
		}
		seen++
		return nil
	})
	if err == nil && seen != len(want) {
		err = errors.New("files are missing")
	}
	return err
}
