package evidence

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Domain separation of leaves and inner nodes, RFC 6962 section 2.1.
const (
	leafPrefix = 0
	nodePrefix = 1
)

// Tree is the Merkle tree over a log's entries (RFC 6962), reduced to what
// appending needs: the roots of its complete subtrees, largest first. The zero
// value is the empty tree.
type Tree struct {
	size  uint64
	roots []artifact.Digest
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Add appends the leaf hash.
func (t *Tree) Add(leaf artifact.Digest) {
	// Every trailing one bit of the size is a complete subtree that the new
	// leaf completes to a larger one.
	for s := t.size; s&1 == 1; s >>= 1 {
		last := len(t.roots) - 1
		leaf = node(t.roots[last], leaf)
		t.roots = t.roots[:last]
	}
	t.roots = append(t.roots, leaf)
	t.size++
}

// Root returns the tree's root hash.
func (t *Tree) Root() artifact.Digest {
	if t.size == 0 {
		return artifact.SHA256Of(nil)
	}
	root := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		root = node(t.roots[i], root)
	}
	return root
}

// Frontier returns the roots of the complete subtrees, for [NewTree].
func (t *Tree) Frontier() []byte {
	out := make([]byte, 0, len(t.roots)*sha256.Size)
	for _, r := range t.roots {
		out = append(out, r.Bytes()...)
	}
	return out
}

// NewTree returns the tree of size leaves with the given frontier, so that
// appending to a long log does not read it. A frontier that does not belong
// to the size is refused; one with false hashes makes a false root, which
// [VerifyLog] finds.
func NewTree(size uint64, frontier []byte) (*Tree, error) {
	if len(frontier) != bits.OnesCount64(size)*sha256.Size {
		return nil, fmt.Errorf("frontier of %d bytes does not belong to %d entries", len(frontier), size)
	}
	t := &Tree{size: size}
	for ; len(frontier) > 0; frontier = frontier[sha256.Size:] {
		d, err := artifact.NewDigest(artifact.SHA256, frontier[:sha256.Size])
		if err != nil {
			return nil, err
		}
		t.roots = append(t.roots, d)
	}
	return t, nil
}

// LeafHash returns the RFC 6962 hash of a leaf with the content raw.
func LeafHash(raw []byte) artifact.Digest {
	var small [1024]byte // most entries fit; this runs once for every entry of a log
	return artifact.SHA256Of(append(append(small[:0], leafPrefix), raw...))
}

func node(left, right artifact.Digest) artifact.Digest {
	buf := make([]byte, 0, 1+2*sha256.Size)
	buf = append(buf, nodePrefix)
	buf = left.AppendTo(buf)
	buf = right.AppendTo(buf)
	return artifact.SHA256Of(buf)
}
