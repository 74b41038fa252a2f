package oms

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// chunk is how much is read at a time.
const chunk = 256 << 10

// content is what was read of a file, against what was expected.
type content struct {
	sha256           artifact.Digest // of the whole file
	size             int64
	differs          bool
	expected, actual artifact.Digest // of the first part that differs
}

func newHash(alg artifact.Algorithm) (hash.Hash, error) {
	switch alg {
	case artifact.SHA256:
		return sha256.New(), nil
	case artifact.BLAKE2b512:
		return newBLAKE2b()
	case artifact.BLAKE3:
		return newBLAKE3(), nil
	default:
		return nil, fmt.Errorf("hash %.40q: %w", string(alg), ErrRefused)
	}
}

// readClaim reads the file at path, behind links that stay inside root, and
// compares it with want in one pass.
func readClaim(ctx context.Context, root *os.Root, path string, want claim) (content, error) {
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return content{}, err
	}
	if !before.Mode().IsRegular() {
		return content{}, fmt.Errorf("it is now a %s", artifact.KindOf(before.Mode()))
	}
	r := claimReader{ctx: ctx, in: io.LimitReader(f, before.Size()+1), all: sha256.New()}
	out, err := r.compare(want)
	if err != nil {
		return content{}, err
	}
	after, err := f.Stat()
	if err != nil {
		return content{}, err
	}
	if out.size != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return content{}, errors.New("the file changed while it was read")
	}
	return out, nil
}

// claimReader reads a file from one end to the other.
type claimReader struct {
	ctx context.Context //nolint:containedctx // it lives as long as one call
	in  io.Reader
	all hash.Hash
	out content
}

func (r *claimReader) compare(want claim) (content, error) {
	for _, s := range want.shards {
		actual, err := r.part(s)
		if err != nil {
			return content{}, err
		}
		if actual != s.digest {
			r.differ(s.digest, actual)
		}
	}
	// What follows the last shard is signed by nobody.
	if n, err := r.copy(r.all, -1); err != nil {
		return content{}, err
	} else if n > 0 {
		r.differ(artifact.Digest{}, artifact.Digest{})
	}
	sum, err := artifact.NewDigest(artifact.SHA256, r.all.Sum(nil))
	r.out.sha256 = sum
	return r.out, err
}

func (r *claimReader) differ(expected, actual artifact.Digest) {
	if !r.out.differs {
		r.out.differs, r.out.expected, r.out.actual = true, expected, actual
	}
}

// part hashes the bytes of one shard, or as many of them as there are.
func (r *claimReader) part(s shard) (artifact.Digest, error) {
	h, err := newHash(s.digest.Algorithm())
	if err != nil {
		return artifact.Digest{}, err
	}
	length := int64(-1)
	if s.end >= 0 {
		length = s.end - s.start
	}
	n, err := r.copy(io.MultiWriter(h, r.all), length)
	if err != nil {
		return artifact.Digest{}, err
	}
	if length >= 0 && n < length {
		return artifact.Digest{}, nil // cut off: no digest at all
	}
	return artifact.NewDigest(s.digest.Algorithm(), h.Sum(nil))
}

// copy passes on length bytes, or all of them when length is negative.
func (r *claimReader) copy(w io.Writer, length int64) (n int64, err error) {
	in := r.in
	if length >= 0 {
		in = io.LimitReader(in, length)
	}
	for {
		if err := r.ctx.Err(); err != nil {
			return n, err
		}
		k, err := io.CopyN(w, in, chunk)
		n += k
		r.out.size += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
