package evidence

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Alteration names what happened to a record.
type Alteration string

// The alterations that [VerifyLog] tells apart.
const (
	Altered    Alteration = "altered"    // an entry's content is not what was chained
	Removed    Alteration = "removed"    // one or more entries are gone
	Reordered  Alteration = "reordered"  // entries stand in another order
	Inserted   Alteration = "inserted"   // an entry was put between two others
	CutOff     Alteration = "cut_off"    // entries are gone at the end
	Unreadable Alteration = "unreadable" // an entry is no entry any more
	Unsigned   Alteration = "unsigned"   // a checkpoint is missing, forged or of another log
	Rewritten  Alteration = "rewritten"  // the chain is whole, but not the one that was signed
)

// Problem is one alteration, with the place where it shows.
type Problem struct {
	Kind Alteration `json:"kind"`
	// Seq is the entry that is affected, or 0 for the log as a whole.
	Seq    uint64 `json:"seq"`
	Detail string `json:"detail"`
}

// Stored is one row of a log as it was found in its store, which may lie.
type Stored struct {
	Seq uint64
	Raw []byte
}

// LogState is a log as found: its rows in the order of the store and the
// signed notes that speak of it.
type LogState struct {
	Log  string
	Rows []Stored
	// Notes are the checkpoints stored beside the log, in any order.
	Notes []string
	// Trusted are checkpoints from elsewhere: exported, printed, witnessed.
	Trusted []string
}

// VerifyLog checks a log against itself, against the checkpoints stored with
// it and against those from elsewhere. No problem means: every entry is where
// and what it was when the last of these checkpoints was signed. Entries that
// were cut off together with their checkpoints show only against a checkpoint
// from elsewhere.
func VerifyLog(s LogState, k VerifierKey) []Problem {
	v := verifier{key: k, log: s.Log}
	entries := v.entries(s.Rows)
	v.chain(entries)
	v.checkpoints(entries, s)
	return v.problems
}

type verifier struct {
	key      VerifierKey
	log      string
	problems []Problem
}

func (v *verifier) add(kind Alteration, seq uint64, format string, args ...any) {
	v.problems = append(v.problems, Problem{kind, seq, fmt.Sprintf(format, args...)})
}

// entries parses the rows. What does not parse, or does not say what its row
// says, stays in the list with the row's number so that the chain shows where.
func (v *verifier) entries(rows []Stored) []Entry {
	out := make([]Entry, 0, len(rows))
	for _, r := range rows {
		e, err := ParseEntry(r.Raw)
		switch {
		case err != nil:
			v.add(Unreadable, r.Seq, "entry %d cannot be read: %v", r.Seq, err)
			e = Entry{Seq: r.Seq, raw: r.Raw}
		case e.Log != v.log:
			v.add(Inserted, r.Seq, "entry %d belongs to log %s", r.Seq, artifact.Quote(e.Log))
		case e.Seq != r.Seq:
			v.add(Reordered, r.Seq, "the entry stored as %d was written as %d", r.Seq, e.Seq)
		}
		out = append(out, e)
	}
	return out
}

// chain follows the hashes from entry to entry. Where a link is broken, the
// neighbours tell what happened.
func (v *verifier) chain(entries []Entry) {
	byHash := make(map[artifact.Digest]int, len(entries))
	for i, e := range entries {
		byHash[e.Hash()] = i
	}
	var prev artifact.Digest
	var last uint64
	for i, e := range entries {
		if e.Prev != prev {
			v.brokenLink(entries, byHash, i, last)
		} else if e.Seq != last+1 && e.Log != "" {
			v.add(Altered, e.Seq, "entry %d follows entry %d", e.Seq, last)
		}
		prev, last = e.Hash(), e.Seq
	}
}

func (v *verifier) brokenLink(entries []Entry, byHash map[artifact.Digest]int, i int, last uint64) {
	e := entries[i]
	if e.Log == "" {
		return // unreadable, and said so
	}
	if at, ok := byHash[e.Prev]; ok && at > i {
		v.add(Reordered, e.Seq, "entry %d stands before the entry it was written behind", e.Seq)
		return
	}
	switch at, ok := byHash[e.Prev]; {
	case e.Seq > last+1:
		v.add(Removed, last+1, "%s before entry %d", gone(last+1, e.Seq-1), e.Seq)
	case ok && at < i-1:
		v.add(Inserted, entries[i-1].Seq, "%d entries stand between entry %d and the one it was written behind", i-1-at, e.Seq)
	case i > 0 && e.Seq == last:
		v.add(Inserted, e.Seq, "there are two entries %d", e.Seq)
	case i == 0:
		v.add(Removed, e.Seq, "the first entry is gone")
	default:
		v.add(Altered, last, "entry %d is not what entry %d was chained to", last, e.Seq)
	}
}

func gone(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("entry %d is gone", from)
	}
	return fmt.Sprintf("entries %d to %d are gone", from, to)
}

// checkpoints compares the log with every note, ours and those from elsewhere.
func (v *verifier) checkpoints(entries []Entry, s LogState) {
	roots := rootsOf(entries)
	newest := uint64(0)
	for _, note := range append(append([]string(nil), s.Notes...), s.Trusted...) {
		c, err := OpenCheckpoint(note, v.key)
		switch {
		case err != nil:
			v.add(Unsigned, 0, "a checkpoint does not verify: %v", err)
			continue
		case c.Origin != v.key.Origin(v.log):
			v.add(Unsigned, 0, "a checkpoint speaks of %s", artifact.Quote(c.Origin))
			continue
		}
		newest = max(newest, c.Size)
		switch {
		case c.Size > uint64(len(entries)):
			v.add(CutOff, uint64(len(entries))+1, "the log has %d entries, a checkpoint was signed over %d", len(entries), c.Size)
		case c.Root != roots[c.Size]:
			v.add(Rewritten, 0, "the first %d entries are not those that a checkpoint was signed over", c.Size)
		}
	}
	if n := uint64(len(entries)); newest < n {
		v.add(Unsigned, newest+1, "no checkpoint covers %s", covered(newest+1, n))
	}
}

func covered(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("entry %d", from)
	}
	return fmt.Sprintf("entries %d to %d", from, to)
}

// rootsOf returns the root hash after each number of entries.
func rootsOf(entries []Entry) []artifact.Digest {
	var t Tree
	roots := make([]artifact.Digest, 0, len(entries)+1)
	roots = append(roots, t.Root())
	for _, e := range entries {
		t.Add(e.Hash())
		roots = append(roots, t.Root())
	}
	return roots
}
