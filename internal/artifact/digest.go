package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Algorithm names a hash function as it stands in manifests.
type Algorithm string

// The algorithms that occur in signed manifests. SHA-256 is the only one this
// program makes itself.
const (
	SHA256     Algorithm = "sha256"
	SHA384     Algorithm = "sha384"
	SHA512     Algorithm = "sha512"
	BLAKE2b512 Algorithm = "blake2b"
	BLAKE3     Algorithm = "blake3"
)

// Size returns the length of a's digests in bytes, or 0 for an unknown
// algorithm.
func (a Algorithm) Size() int {
	switch a {
	case SHA256, BLAKE3:
		return 32
	case SHA384:
		return 48
	case SHA512, BLAKE2b512:
		return 64
	default:
		return 0
	}
}

// Digest is the value of a hash function. Digests are comparable with ==; the
// zero value is no digest. Digests identify content and are public: comparing
// them in constant time is not needed.
type Digest struct {
	alg Algorithm
	sum string // raw bytes
}

// NewDigest returns the digest with the raw value sum. It fails when sum has
// not the length of alg's values.
func NewDigest(alg Algorithm, sum []byte) (Digest, error) {
	if n := alg.Size(); n == 0 || n != len(sum) {
		return Digest{}, fmt.Errorf("a %.20q digest of %d bytes does not exist", string(alg), len(sum))
	}
	return Digest{alg, string(sum)}, nil
}

// SHA256Of returns the SHA-256 digest of data.
func SHA256Of(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest{SHA256, string(sum[:])}
}

// ParseDigest reads what [Digest.String] writes: 64 hex digits for SHA-256,
// "algorithm:hex" for everything, SHA-256 included. Upper-case digits are
// accepted.
func ParseDigest(s string) (Digest, error) {
	alg, digits, ok := strings.Cut(s, ":")
	if !ok {
		alg, digits = string(SHA256), s
	}
	if len(digits) > 2*64 {
		return Digest{}, fmt.Errorf("digest of %d characters", len(s))
	}
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return Digest{}, fmt.Errorf("digest %.80q: not hexadecimal", s)
	}
	return NewDigest(Algorithm(alg), sum)
}

// Algorithm returns the hash function, or "" for the zero value.
func (d Digest) Algorithm() Algorithm { return d.alg }

// Bytes returns the raw value.
func (d Digest) Bytes() []byte { return []byte(d.sum) }

// AppendTo appends the raw value to b.
func (d Digest) AppendTo(b []byte) []byte { return append(b, d.sum...) }

// Hex returns the value in lower-case hex, without the algorithm.
func (d Digest) Hex() string { return hex.EncodeToString([]byte(d.sum)) }

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the lower-case hex of a SHA-256 digest, "algorithm:hex" of
// any other, "" of the zero value.
func (d Digest) String() string {
	if d.alg == SHA256 || d.IsZero() {
		return d.Hex()
	}
	return string(d.alg) + ":" + d.Hex()
}

// MarshalText writes what String returns.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes; an empty text is the zero value.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
