package evidence

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"

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
	Forged     Alteration = "forged"     // an approval is not by who it says, or not of what was done
)

// Problem is one alteration, with the place where it shows.
type Problem struct {
	Kind Alteration `json:"kind"`
	// Seq is the entry that is affected, by the number it was written with, or
	// stored under when it should not be there; 0 for the log as a whole.
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
// from elsewhere. Problems are in the order of the entries they name.
//
// Nothing is chained to the last entry, so only checkpoints know it: without
// one for the entry before, an altered last entry shows as a rewritten log.
// In a log with more than 4096 checkpoints the signatures of the older ones are
// not computed when the newest proves what they say; see uncovered.
// Where none was signed between two entries, an alteration of the second that
// also breaks its link to the first is reported for both.
func VerifyLog(s LogState, k VerifierKey) []Problem {
	v := verifier{key: k, log: s.Log}
	v.arrange(v.read(s.Rows))
	v.roots = rootsOf(v.chain)
	v.open(s.Notes, s.Trusted)
	v.links()
	v.compare()
	slices.SortStableFunc(v.problems, func(a, b Problem) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.CompactFunc(v.problems, func(a, b Problem) bool { return a.Seq != 0 && a.Seq == b.Seq && a.Kind == b.Kind })
}

type verifier struct {
	key      VerifierKey
	log      string
	problems []Problem
	// chain holds one row for each number, in order, perhaps with gaps.
	chain []row
	// roots are the root hashes after 0, 1, 2, … entries, up to the first gap.
	roots []artifact.Digest
	// signed are the checkpoints that verify.
	signed []Checkpoint
	// proven is how many entries from the first on a checkpoint vouches for.
	proven uint64
}

func (v *verifier) add(kind Alteration, seq uint64, format string, args ...any) {
	v.problems = append(v.problems, Problem{kind, seq, fmt.Sprintf(format, args...)})
}

// last returns the number of the last entry.
func (v *verifier) last() uint64 {
	if len(v.chain) == 0 {
		return 0
	}
	return v.chain[len(v.chain)-1].seq
}

// maxSignatures is how many stored notes have their signatures verified. In
// a log with more, the newest is verified and speaks for those before it.
const maxSignatures = 4096

// open verifies notes, and finds how much of the log they prove.
func (v *verifier) open(stored, trusted []string) {
	notes := slices.Concat(v.uncovered(stored), trusted)
	checkpoints, errs := openAll(notes, v.key)
	for i, c := range checkpoints {
		switch err := errs[i]; {
		case err != nil:
			v.add(Unsigned, 0, "a checkpoint does not verify: %v", err)
		case c.Origin != v.key.Origin(v.log):
			v.add(Unsigned, 0, "a checkpoint speaks of %s", artifact.Quote(c.Origin))
		default:
			v.signed = append(v.signed, c)
			if v.proves(c) {
				v.proven = max(v.proven, c.Size)
			}
		}
	}
}

// proves reports whether a checkpoint has the root that the entries have.
func (v *verifier) proves(c Checkpoint) bool { return v.known(c.Size) && c.Root == v.roots[c.Size] }

// uncovered returns the notes whose signatures are to be verified: all of
// them, as long as they are not many. Of many, those are left out that have
// the right form and name the very root that the entries have, when the newest
// note verifies and proves those entries: then what they say is proven without
// them. Every note is compared with the entries either way; what goes unseen
// is a change to the signature of a note that is true.
func (v *verifier) uncovered(notes []string) []string {
	if len(notes) <= maxSignatures {
		return notes
	}
	var newest Checkpoint
	var note string
	for _, n := range notes {
		if c, err := readNote(n, v.key); err == nil && c.Size > newest.Size {
			newest, note = c, n
		}
	}
	c, err := OpenCheckpoint(note, v.key)
	if err != nil || c.Origin != v.key.Origin(v.log) || !v.proves(c) {
		return notes
	}
	rest := []string{note}
	for _, n := range notes {
		if c, err := readNote(n, v.key); err != nil || c.Origin != v.key.Origin(v.log) || !v.proves(c) {
			rest = append(rest, n)
		}
	}
	return rest
}

// openAll verifies notes on all processors.
func openAll(notes []string, k VerifierKey) ([]Checkpoint, []error) {
	checkpoints, errs := make([]Checkpoint, len(notes)), make([]error, len(notes))
	workers := min(runtime.GOMAXPROCS(0), len(notes))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(notes); i += workers {
				checkpoints[i], errs[i] = OpenCheckpoint(notes[i], k)
			}
		})
	}
	wg.Wait()
	return checkpoints, errs
}

// known reports whether the log has a root hash to compare at this size.
func (v *verifier) known(size uint64) bool { return size < uint64(len(v.roots)) }

// compare says what the checkpoints know beyond the chain: that its end is
// gone, is not signed for, or is another one.
func (v *verifier) compare() {
	last := v.last()
	var newest, wrong uint64
	for _, c := range v.signed {
		newest = max(newest, c.Size)
		if v.known(c.Size) && c.Root != v.roots[c.Size] && (wrong == 0 || c.Size < wrong) {
			wrong = c.Size
		}
	}
	switch {
	case newest > last:
		v.add(CutOff, last+1, "the log has %d entries, a checkpoint was signed over %d", last, newest)
	case newest < last:
		v.add(Unsigned, newest+1, "no checkpoint covers %s", span(newest+1, last))
	}
	switch {
	case wrong == 0 || v.explained(wrong):
	case wrong <= v.proven:
		v.add(Rewritten, wrong, "two checkpoints were signed over different entries %d", wrong)
	case v.proven+1 == last:
		v.add(Altered, last, "entry %d is not the one that a checkpoint was signed over", last)
	default:
		v.add(Rewritten, v.proven+1, "%s are not those that a checkpoint was signed over", span(v.proven+1, last))
	}
}

// explained reports whether a problem that is known already makes the
// checkpoint of this size a wrong one.
func (v *verifier) explained(size uint64) bool {
	return slices.ContainsFunc(v.problems, func(p Problem) bool {
		return (p.Kind == Altered || p.Kind == Unreadable) && p.Seq > v.proven && p.Seq <= size
	})
}

func span(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("entry %d", from)
	}
	return fmt.Sprintf("entries %d to %d", from, to)
}

// rootsOf returns the root hash after each number of entries, up to the first
// gap.
func rootsOf(chain []row) []artifact.Digest {
	var t Tree
	roots := make([]artifact.Digest, 0, len(chain)+1)
	roots = append(roots, t.Root())
	for _, r := range chain {
		if r.seq != t.Size()+1 {
			break
		}
		t.Add(r.hash)
		roots = append(roots, t.Root())
	}
	return roots
}
