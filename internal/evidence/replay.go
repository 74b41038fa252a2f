package evidence

import (
	"fmt"
	"iter"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Replay verifies a log that is read once, in constant memory, from a source
// that vouches for its bytes in another way, as the seal of a bundle does.
//
// Every entry must be chained to the one before, every note must name the root
// that the entries before it have, and the newest note and those from
// elsewhere must carry the key's signature. The signatures of the older notes
// are not computed: once the newest proves the entries, an older note that
// names the right root says nothing that is not proven, and one that names
// another root is found by that.
type Replay struct {
	Log string
	Key VerifierKey
	// Rows yields the entries as stored, in their order. A slice is valid
	// until the next.
	Rows iter.Seq[[]byte]
	// Notes yields the stored notes, by ascending size.
	Notes iter.Seq[string]
	// Trusted are checkpoints from elsewhere.
	Trusted []string
}

// Run returns the number of entries, and an error that names the first thing
// that is wrong. [VerifyLog] says more about a log that is wrong.
func (r Replay) Run() (uint64, error) {
	next, stop := iter.Pull(r.Notes)
	defer stop()
	p := &replay{Replay: r, next: next}
	if err := p.open(); err != nil {
		return 0, err
	}
	p.advance()
	for raw := range r.Rows {
		if p.err == nil {
			p.err = p.entry(raw)
		}
		p.seen++
	}
	if p.err == nil {
		p.err = p.end()
	}
	return p.seen, p.err
}

type replay struct {
	Replay
	next    func() (string, bool)
	tree    Tree
	prev    artifact.Digest
	note    string
	size    uint64 // of the note at hand
	root    artifact.Digest
	more    bool // there is a note at hand
	newest  string
	trusted map[uint64]artifact.Digest
	seen    uint64
	err     error
}

// open verifies the checkpoints from elsewhere.
func (p *replay) open() error {
	p.trusted = map[uint64]artifact.Digest{}
	for _, note := range p.Trusted {
		c, err := OpenCheckpoint(note, p.Key)
		if err != nil {
			return fmt.Errorf("a checkpoint from elsewhere does not verify: %w", err)
		}
		if root, ok := p.trusted[c.Size]; c.Origin != p.Key.Origin(p.Log) || ok && root != c.Root {
			return fmt.Errorf("a checkpoint from elsewhere speaks of another log")
		}
		p.trusted[c.Size] = c.Root
	}
	return nil
}

// advance takes the next note at hand.
func (p *replay) advance() {
	before, had := p.size, p.more
	p.note, p.more = p.next()
	if !p.more || p.err != nil {
		return
	}
	c, err := readNote(p.note, p.Key)
	switch {
	case err != nil:
		p.err = err
	case c.Origin != p.Key.Origin(p.Log):
		p.err = fmt.Errorf("a checkpoint speaks of %s", artifact.Quote(c.Origin))
	case had && c.Size <= before:
		p.err = fmt.Errorf("the checkpoint over %d entries is out of order", c.Size)
	}
	p.size, p.root, p.newest = c.Size, c.Root, p.note
}

func (p *replay) entry(raw []byte) error {
	n := p.tree.Size() + 1
	e, err := ParseEntry(raw)
	switch {
	case err != nil:
		return fmt.Errorf("entry %d: %w", n, err)
	case e.Seq != n || e.Log != p.Log || e.Prev != p.prev:
		return fmt.Errorf("entry %d is not chained to the one before it", n)
	}
	p.prev = e.Hash()
	p.tree.Add(p.prev)
	return p.compare()
}

// compare holds the tree against the notes over as many entries.
func (p *replay) compare() error {
	n := p.tree.Size()
	if root, ok := p.trusted[n]; ok {
		if root != p.tree.Root() {
			return fmt.Errorf("entry %d or one before it is not what a checkpoint from elsewhere was signed over", n)
		}
		delete(p.trusted, n)
	}
	if p.more && p.size == n {
		if p.root != p.tree.Root() {
			return fmt.Errorf("entry %d or one before it is not what a checkpoint was signed over", n)
		}
		p.advance()
	}
	return p.err
}

// end says whether anything is left over, and verifies the newest note.
func (p *replay) end() error {
	delete(p.trusted, 0)
	switch n := p.tree.Size(); {
	case p.more:
		return fmt.Errorf("the log has %d entries, a checkpoint was signed over %d", n, p.size)
	case len(p.trusted) > 0:
		return fmt.Errorf("the log has %d entries, a checkpoint from elsewhere was signed over more", n)
	case n > 0 && p.size != n:
		return fmt.Errorf("no checkpoint covers entry %d", n)
	case n == 0:
		return nil
	}
	_, err := OpenCheckpoint(p.newest, p.Key)
	return err
}
