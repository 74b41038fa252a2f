package oms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// preAuth returns the bytes that a DSSE signature is over: the pre-
// authentication encoding of DSSE 1.0.
func preAuth(payloadType string, payload []byte) []byte {
	head := fmt.Sprintf("DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return append([]byte(head), payload...)
}

// legacyPreAuth returns what release v0.2.0 of the reference implementation
// signed instead: another prefix, and the payload in the form in which Python
// prints bytes. Only statements of that release may be checked with it.
func legacyPreAuth(payloadType string, payload []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "DSSEV1 %d %s %d ", len(payloadType), payloadType, len(payload))
	pythonRepr(&b, payload)
	return b.Bytes()
}

func pythonRepr(b *bytes.Buffer, data []byte) {
	quote := byte('\'')
	if bytes.IndexByte(data, '\'') >= 0 && bytes.IndexByte(data, '"') < 0 {
		quote = '"'
	}
	b.WriteByte('b')
	b.WriteByte(quote)
	for _, c := range data {
		switch {
		case c == quote || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			b.WriteString(`\x` + hex.EncodeToString([]byte{c}))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(quote)
}

// curveHash returns the hash function that goes with key's curve, and false
// for keys that are not accepted.
func curveHash(pub crypto.PublicKey) (*ecdsa.PublicKey, crypto.Hash, bool) {
	key, ok := pub.(*ecdsa.PublicKey)
	if !ok || key == nil {
		return nil, 0, false
	}
	switch key.Curve {
	case elliptic.P256():
		return key, crypto.SHA256, true
	case elliptic.P384():
		return key, crypto.SHA384, true
	case elliptic.P521():
		return key, crypto.SHA512, true
	default:
		return nil, 0, false
	}
}

func hashed(h crypto.Hash, message []byte) []byte {
	w := h.New()
	w.Write(message)
	return w.Sum(nil)
}

// validSignature reports whether sig is key's signature over message with the
// hash of the key's curve.
func validSignature(pub crypto.PublicKey, message, sig []byte) bool {
	key, h, ok := curveHash(pub)
	return ok && ecdsa.VerifyASN1(key, hashed(h, message), sig)
}

// validWith is validSignature with another hash than the curve's.
func validWith(h crypto.Hash, pub crypto.PublicKey, message, sig []byte) bool {
	key, _, ok := curveHash(pub)
	return ok && ecdsa.VerifyASN1(key, hashed(h, message), sig)
}

// KeyHint returns what names a public key in bundles: the SHA-256, in lower-
// case hex, of the key as a PEM block of type PUBLIC KEY. It is computed from
// the key, whatever else the file it came from holds.
func KeyHint(pub crypto.PublicKey) (string, error) {
	if key, ok := pub.(*ecdsa.PublicKey); ok && key == nil {
		return "", errors.New("encode public key: there is none")
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return artifact.SHA256Of(text).Hex(), nil
}

// rootDigest is SHA-256 over raw digests, in order.
type rootDigest struct{ raw bytes.Buffer }

func (r *rootDigest) add(d artifact.Digest)   { r.raw.Write(d.Bytes()) }
func (r *rootDigest) digest() artifact.Digest { return artifact.SHA256Of(r.raw.Bytes()) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
