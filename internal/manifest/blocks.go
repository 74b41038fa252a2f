package manifest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// BlockSize is how many bytes of a file one tag covers. The last block of a
// file is what is left.
const BlockSize = 4 << 20

// SecretSize is the length of the secret of [NewBlocks] in bytes.
const SecretSize = 32

const (
	tagSize = 16
	idSize  = 16
	// blocksMagic begins an encoded set. The last byte is the version.
	blocksMagic = "wwblock\x01"
)

// Errors of [DecodeBlocks].
var (
	// ErrSecret is a set that was made under another secret. It is of no use.
	ErrSecret = errors.New("block tags of another secret")
	// ErrBlocks is a set that is not one, or not of this manifest.
	ErrBlocks = errors.New("not the block tags of this manifest")
)

// Blocks holds a tag for each block of each regular file of one observation:
// AES-256-GMAC under a key that is derived from the secret of this host and an
// id that no other set has. Block b of the f-th regular file has the nonce
// (f, b). So a nonce serves one message whose tag is ever kept; tags of other
// content are made to be compared and forgotten, and never leave this package.
//
// Equal tags say that a block is what it was when the set was made. They say
// nothing of what it was then.
type Blocks struct {
	id   [idSize]byte
	kid  [idSize]byte // tells secrets apart, and reveals nothing of them
	aead cipher.AEAD
	// files has the tags of each regular file, in the order of the manifest.
	// A file that could not be read has nil.
	files [][]byte
}

// NewBlocks returns an empty set, for [Options.Blocks], under a fresh id. A nil
// random is crypto/rand. It fails when random does, or when the secret is not
// of SecretSize bytes.
func NewBlocks(secret []byte, random io.Reader) (*Blocks, error) {
	if random == nil {
		random = rand.Reader
	}
	var id [idSize]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return nil, fmt.Errorf("draw the id of block tags: %w", err)
	}
	return newBlocks(secret, id)
}

func newBlocks(secret []byte, id [idSize]byte) (*Blocks, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("secret of block tags: %d bytes, not %d", len(secret), SecretSize)
	}
	b := &Blocks{id: id}
	kid, err := hkdf.Key(sha256.New, secret, nil, "weightwarden block tags: which secret", idSize)
	if err != nil {
		return nil, fmt.Errorf("name the secret of block tags: %w", err)
	}
	copy(b.kid[:], kid)
	key, err := hkdf.Key(sha256.New, secret, id[:], "weightwarden block tags: key of a set", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of block tags: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of block tags: %w", err)
	}
	if b.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("make the cipher of block tags: %w", err)
	}
	return b, nil
}

// reset prepares b for the tags of n regular files.
func (b *Blocks) reset(n int) { b.files = make([][]byte, n) }

// tag appends the tag of a block to dst.
func (b *Blocks) tag(dst []byte, file, block int, data []byte) []byte {
	var nonce [12]byte
	binary.BigEndian.PutUint32(nonce[:], uint32(file))
	binary.BigEndian.PutUint64(nonce[4:], uint64(block))
	return b.aead.Seal(dst, nonce[:], nil, data)
}

// all returns the tags of a whole file that is no longer than a block.
func (b *Blocks) all(file int, data []byte) []byte {
	tags := make([]byte, 0, tagSize)
	if len(data) == 0 {
		return tags
	}
	return b.tag(tags, file, 0, data)
}

// same reports whether data is the block as it was.
func (b *Blocks) same(file, block int, data []byte) bool {
	var buf [tagSize]byte
	want := b.files[file][block*tagSize:][:tagSize]
	return subtle.ConstantTimeCompare(want, b.tag(buf[:0], file, block, data)) == 1
}

// blockCount returns how many blocks a file of size has.
func blockCount(size int64) int { return int((size + BlockSize - 1) / BlockSize) }

// Encode returns the set for keeping, bound to the manifest it was made with.
// It fails when a regular file of m has no tags. Nothing in it is secret from
// those who may read the model, but whoever can change it unnoticed decides
// what a re-check finds: keep it signed.
func (b *Blocks) Encode(m *Manifest) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, len(blocksMagic)+2*idSize+sha256.Size))
	out.WriteString(blocksMagic)
	out.Write(b.kid[:])
	out.Write(b.id[:])
	binding := layout(m)
	out.Write(binding[:])
	n := 0
	for i := range m.Files {
		if m.Files[i].Kind != artifact.Regular {
			continue
		}
		if n >= len(b.files) || b.files[n] == nil || len(b.files[n]) != blockCount(m.Files[i].Size)*tagSize {
			return nil, fmt.Errorf("encode block tags: %s has none: %w", artifact.Quote(m.Files[i].Path), ErrBlocks)
		}
		out.Write(b.files[n])
		n++
	}
	if n != len(b.files) {
		return nil, fmt.Errorf("encode block tags: of %d files, not %d: %w", len(b.files), n, ErrBlocks)
	}
	return out.Bytes(), nil
}

// DecodeBlocks reads what [Blocks.Encode] wrote for a manifest with the same
// regular files. It fails with ErrSecret or ErrBlocks.
func DecodeBlocks(data, secret []byte, m *Manifest) (*Blocks, error) {
	rest, ok := bytes.CutPrefix(data, []byte(blocksMagic))
	if !ok || len(rest) < 2*idSize+sha256.Size {
		return nil, fmt.Errorf("read block tags: %w", ErrBlocks)
	}
	kid, id, binding, rest := rest[:idSize], rest[idSize:2*idSize], rest[2*idSize:][:sha256.Size], rest[2*idSize+sha256.Size:]
	b, err := newBlocks(secret, [idSize]byte(id))
	if err != nil {
		return nil, fmt.Errorf("read block tags: %w", err)
	}
	if !bytes.Equal(kid, b.kid[:]) {
		return nil, fmt.Errorf("read block tags: %w", ErrSecret)
	}
	if want := layout(m); !bytes.Equal(binding, want[:]) {
		return nil, fmt.Errorf("read block tags: %w", ErrBlocks)
	}
	for i := range m.Files {
		if m.Files[i].Kind != artifact.Regular {
			continue
		}
		if m.Files[i].Size > math.MaxInt64-BlockSize || blockCount(m.Files[i].Size) > len(rest)/tagSize {
			return nil, fmt.Errorf("read block tags: too few: %w", ErrBlocks)
		}
		n := blockCount(m.Files[i].Size) * tagSize
		b.files = append(b.files, rest[:n:n])
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("read block tags: too many: %w", ErrBlocks)
	}
	return b, nil
}

// layout binds a set to the regular files it was made of: names, sizes and
// digests in their order.
func layout(m *Manifest) [sha256.Size]byte {
	h := sha256.New()
	for i := range m.Files {
		if f := &m.Files[i]; f.Kind == artifact.Regular {
			fmt.Fprintf(h, "%q %d %s\n", f.Path, f.Size, f.Digest)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
