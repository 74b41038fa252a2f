// Package xgboost follows the binary form in which XGBoost saved models before
// it had JSON (src/learner.cc, gbtree_model.cc and tree_model.h up to version
// 2): parameters, the names of objective and booster, trees or weights,
// attributes and names of metrics. It is stricter than the library, which
// allocates what the file says: every count has to fit what is left of the
// file, nodes refer to nodes of their tree, and nothing stands behind the end.
package xgboost

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Why a model is refused. Each error that is not one of reading wraps one.
var (
	// ErrMalformed means that the parts do not fit each other.
	ErrMalformed = errors.New("malformed XGBoost model")
	// ErrTruncated means that the file ends early.
	ErrTruncated = errors.New("XGBoost model cut off")
)

// Model is what a model says of itself.
type Model struct {
	Objective, Booster string
	Trees              int
	// End is where the model ends.
	End int64
}

// The sizes of the parts, in bytes.
const (
	learnerParam = 136
	treesParam   = 160
	treeParam    = 148
	linearParam  = 136
	nodeSize     = 20
	statSize     = 16
	maxName      = 256
)

// boosters are the names that the library knows.
var boosters = []string{"gbtree", "dart", "gblinear"}

// Looks reports whether head begins a model.
func Looks(head []byte) bool {
	m, err := read(&reader{r: bufio.NewReaderSize(&cut{head}, 16), size: 1 << 62}, true)
	return err == nil && m.Booster != ""
}

// cut reads a head and then fails, so that what is beyond it is not missed.
type cut struct{ rest []byte }

func (c *cut) Read(p []byte) (int, error) {
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Read follows the model in the first size bytes of data. It reads parameters
// and nodes, not the numbers.
func Read(data io.ReaderAt, size int64) (*Model, error) {
	r := &reader{r: bufio.NewReaderSize(io.NewSectionReader(data, 0, size), 32<<10), size: size}
	return read(r, false)
}

// reader reads forward. After the first failure everything is zero.
type reader struct {
	r        *bufio.Reader
	at, size int64
	err      error
}

func (r *reader) fail(kind error, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("offset %d: %s: %w", r.at, fmt.Sprintf(format, args...), kind)
	}
}

// fill reads into b.
func (r *reader) fill(b []byte) bool {
	if r.err != nil {
		return false
	}
	n, err := io.ReadFull(r.r, b)
	r.at += int64(n)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.fail(ErrTruncated, "%d bytes are missing", len(b)-n)
	case err != nil:
		r.err = fmt.Errorf("read model: %w", err)
	}
	return r.err == nil
}

func (r *reader) uint64() uint64 {
	var b [8]byte
	if !r.fill(b[:]) {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

// ints reads a struct of whole numbers.
func (r *reader) ints(bytes int) []int32 {
	b := make([]byte, bytes)
	r.fill(b)
	out := make([]int32, bytes/4)
	for i := range out {
		out[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// skip leaves out n things of a width.
func (r *reader) skip(n uint64, width int64) {
	if r.err != nil {
		return
	}
	if n > uint64((r.size-r.at)/width) {
		r.fail(ErrTruncated, "%d of %d bytes each where %d are left", n, width, r.size-r.at)
		return
	}
	for left := int64(n) * width; left > 0; {
		d, err := r.r.Discard(int(min(left, 1<<30)))
		left -= int64(d)
		r.at += int64(d)
		if err != nil {
			r.fail(ErrTruncated, "%d bytes are missing", left)
			return
		}
	}
}

// name reads a short text.
func (r *reader) name() string {
	n := r.uint64()
	if n > maxName {
		r.fail(ErrMalformed, "a name of %d bytes", n)
		return ""
	}
	b := make([]byte, n)
	r.fill(b)
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			r.fail(ErrMalformed, "a name of other characters: %.40q", b)
			return ""
		}
	}
	return string(b)
}

// texts leaves out n texts of any length.
func (r *reader) texts(n uint64) {
	if n > uint64(r.size-r.at)/8 {
		r.fail(ErrTruncated, "%d texts where %d bytes are left", n, r.size-r.at)
	}
	for ; n > 0 && r.err == nil; n-- {
		r.skip(r.uint64(), 1)
	}
}

// read reads a model, or its start.
func read(r *reader, startOnly bool) (*Model, error) {
	if magic, err := r.r.Peek(4); err == nil && string(magic) == "binf" {
		r.skip(4, 1)
	}
	learner := r.ints(learnerParam)
	m := &Model{Objective: r.name(), Booster: r.name()}
	if r.err == nil && !slices.Contains(boosters, m.Booster) {
		r.fail(ErrMalformed, "no booster %.40q", m.Booster)
	}
	if startOnly || r.err != nil {
		return m, r.err
	}
	if m.Booster == "gblinear" {
		r.ints(linearParam)
		r.skip(r.uint64(), 4)
	} else {
		m.Trees = r.trees(m.Booster == "dart")
	}
	if learner[3] != 0 {
		n := r.uint64()
		if n > 1<<32 {
			r.fail(ErrMalformed, "%d attributes", n)
		}
		r.texts(2 * n)
	}
	if learner[4] != 0 {
		r.texts(r.uint64())
	}
	m.End = r.at
	return m, r.err
}

// trees reads the trees of a booster and says how many there are.
func (r *reader) trees(dart bool) int {
	p := r.ints(treesParam)
	n, buffer, groups, leaf := p[0], int64(uint32(p[4]))|int64(p[5])<<32, p[6], p[7]
	if n < 0 || int64(n) > (r.size-r.at)/treeParam || buffer < 0 || groups < 0 || leaf < 0 {
		r.fail(ErrMalformed, "%d trees, %d groups", n, groups)
	}
	for range n {
		if r.tree(); r.err != nil {
			return 0
		}
	}
	r.skip(uint64(max(n, 0)), 4)
	if buffer > 0 {
		width := 4 * max(int64(groups), 1) * (int64(leaf) + 1)
		r.skip(uint64(buffer), width)
		r.skip(uint64(buffer), width)
	}
	if dart && n > 0 {
		r.skip(r.uint64(), 4)
	}
	return int(n)
}

// tree reads one tree: nodes (parent, left, right, feature, value), their
// statistics, and what leaves hold.
func (r *reader) tree() {
	p := r.ints(treeParam)
	nodes, leaf := p[1], p[5]
	if r.err != nil {
		return
	}
	if nodes <= 0 || int64(nodes) > (r.size-r.at)/(nodeSize+statSize) || leaf < 0 {
		r.fail(ErrMalformed, "a tree of %d nodes", nodes)
		return
	}
	for range nodes {
		node := r.ints(nodeSize)
		if parent := node[0] & 0x7fffffff; r.err == nil && (parent >= nodes && node[0] != -1 || node[1] < -1 || node[1] >= nodes || node[2] < -1 || node[2] >= nodes) {
			r.fail(ErrMalformed, "a node with the neighbours %d, %d and %d in a tree of %d", node[0], node[1], node[2], nodes)
			return
		}
	}
	r.skip(uint64(nodes), statSize)
	if leaf > 0 {
		r.skip(r.uint64(), 4)
	}
}
