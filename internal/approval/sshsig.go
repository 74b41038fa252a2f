package approval

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Namespace is what the signatures are made for, so that none of them can be
// taken for a signature of a file, a commit or a login. By hand:
//
//	ssh-keygen -Y sign -n approval@weightwarden -f KEY STATEMENT
const Namespace = "approval@weightwarden"

// The form of an SSH signature (PROTOCOL.sshsig of OpenSSH).
const (
	magic     = "SSHSIG"
	beginSig  = "-----BEGIN SSH SIGNATURE-----"
	endSig    = "-----END SSH SIGNATURE-----"
	version   = 1
	hashSHA2  = "sha512"
	hashShort = "sha256"
	sigWidth  = 70
)

// maxSignature bounds what is read as a signature, in bytes.
const maxSignature = 4 << 10

// ErrForged is what a signature that does not verify wraps.
var ErrForged = errors.New("the signature does not verify")

// sign returns the armored signature over message.
func sign(key ed25519.PrivateKey, message []byte) string {
	public := Key{key.Public().(ed25519.PublicKey)}
	sig := ed25519.Sign(key, signedBytes(hashSHA2, message))
	blob := binary.BigEndian.AppendUint32([]byte(magic), version)
	blob = appendText(blob, public.blob())
	blob = appendText(blob, []byte(Namespace))
	blob = appendText(blob, nil)
	blob = appendText(blob, []byte(hashSHA2))
	blob = appendText(blob, appendText(appendText(nil, []byte(keyType)), sig))
	text := base64.StdEncoding.EncodeToString(blob)
	lines := []string{beginSig}
	for len(text) > 0 {
		n := min(sigWidth, len(text))
		lines, text = append(lines, text[:n]), text[n:]
	}
	return strings.Join(append(lines, endSig), "\n") + "\n"
}

// verify returns the key that made an armored signature over message. The
// error wraps [ErrForged] where the form is right and the signature is not.
func verify(armored string, message []byte) (Key, error) {
	blob, err := dearmor(armored)
	if err != nil {
		return Key{}, err
	}
	if len(blob) < len(magic)+4 || string(blob[:len(magic)]) != magic || binary.BigEndian.Uint32(blob[len(magic):]) != version {
		return Key{}, errors.New("read signature: not an SSH signature of version 1")
	}
	w := wire{rest: blob[len(magic)+4:]}
	keyBlob, space, _, hash, sigBlob := w.text(), w.text(), w.text(), w.text(), w.text()
	s := wire{rest: sigBlob}
	kind, sig := s.text(), s.text()
	if w.bad || s.bad || len(w.rest)+len(s.rest) > 0 {
		return Key{}, errors.New("read signature: a length is wrong")
	}
	key, err := parseKeyBlob(keyBlob)
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("read signature: %w", err)
	case string(space) != Namespace:
		return Key{}, fmt.Errorf("read signature: made for %.60q, not for %s", space, Namespace)
	case string(hash) != hashSHA2 && string(hash) != hashShort:
		return Key{}, fmt.Errorf("read signature: hash %.20q is not accepted", hash)
	case string(kind) != keyType || len(sig) != ed25519.SignatureSize:
		return Key{}, fmt.Errorf("read signature: not by an %s key", keyType)
	case !ed25519.Verify(key.Ed25519, signedBytes(string(hash), message), sig):
		return Key{}, ErrForged
	}
	return key, nil
}

// signedBytes is what the key signs.
func signedBytes(hash string, message []byte) []byte {
	sum := sha512.Sum512(message)
	digest := sum[:]
	if hash == hashShort {
		short := sha256.Sum256(message)
		digest = short[:]
	}
	out := appendText([]byte(magic), []byte(Namespace))
	out = appendText(out, nil)
	out = appendText(out, []byte(hash))
	return appendText(out, digest)
}

func dearmor(text string) ([]byte, error) {
	if len(text) > maxSignature {
		return nil, fmt.Errorf("read signature: longer than %d bytes", maxSignature)
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), "\n")
	if len(lines) < 3 || lines[0] != beginSig || lines[len(lines)-1] != endSig {
		return nil, errors.New("read signature: no SSH SIGNATURE block")
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	return blob, nil
}

// wire reads the strings of the SSH protocol: a length of four bytes and as
// many bytes. After a length that is wrong, bad is set and all is empty.
type wire struct {
	rest []byte
	bad  bool
}

func (w *wire) text() []byte {
	if w.bad || len(w.rest) < 4 || uint64(binary.BigEndian.Uint32(w.rest)) > uint64(len(w.rest)-4) {
		w.bad = true
		return nil
	}
	n := 4 + int(binary.BigEndian.Uint32(w.rest))
	out := w.rest[4:n]
	w.rest = w.rest[n:]
	return out
}

func appendText(b, text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}
