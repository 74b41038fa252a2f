package evidence

import (
	"cmp"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// row is a stored row on the way to being understood.
type row struct {
	// stored is the number it was found under, seq the one where it belongs.
	stored, seq uint64
	entry       Entry
	hash        artifact.Digest
	readable    bool
}

// read parses the rows. What does not parse keeps its place, so that its
// neighbours are not blamed. What belongs to another log is left out, unless
// it stands where an entry of this log is missing.
func (v *verifier) read(stored []Stored) []row {
	rows := make([]row, 0, len(stored))
	claimed := make(map[uint64]bool, len(stored))
	for _, s := range stored {
		r := row{stored: s.Seq, seq: s.Seq, hash: LeafHash(s.Raw)}
		e, err := ParseEntry(s.Raw)
		if err != nil {
			v.add(Unreadable, s.Seq, "entry %d cannot be read: %v", s.Seq, err)
		} else {
			r.entry, r.seq, r.readable = e, e.Seq, true
		}
		if r.readable && e.Log == v.log {
			claimed[e.Seq] = true
		}
		rows = append(rows, r)
	}
	return slices.DeleteFunc(rows, func(r row) bool {
		if !r.readable || r.entry.Log == v.log {
			return false
		}
		if r.seq == r.stored && !claimed[r.seq] {
			v.add(Altered, r.stored, "entry %d says that it belongs to log %s", r.stored, artifact.Quote(r.entry.Log))
			return false
		}
		v.add(Inserted, r.stored, "the entry stored as %d belongs to log %s", r.stored, artifact.Quote(r.entry.Log))
		return true
	})
}

// arrange puts the rows into the order in which they were written, and says
// what had to be left out, moved or is missing.
func (v *verifier) arrange(rows []row) {
	v.renumber(rows)
	rows = v.single(rows)
	v.chain = slices.SortedStableFunc(slices.Values(rows), func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	for i, r := range rows {
		if r.seq != v.chain[i].seq {
			v.add(Reordered, r.seq, "entry %d stands in the place of entry %d", r.seq, v.chain[i].seq)
		}
	}
	v.gaps()
	moved := func(p Problem) bool { return p.Kind == Inserted || p.Kind == Removed || p.Kind == Reordered }
	if slices.ContainsFunc(v.problems, moved) {
		return // which explains numbers that do not fit
	}
	for _, r := range rows {
		if r.stored != r.seq {
			v.add(Reordered, r.seq, "entry %d is stored as %d", r.seq, r.stored)
		}
	}
}

// renumber finds entries whose number was altered: one that is chained to the
// row before it has the number after that one's, whatever it says.
func (v *verifier) renumber(rows []row) {
	var prev artifact.Digest
	var last uint64
	for i := range rows {
		r := &rows[i]
		if r.readable && r.entry.Prev == prev && r.seq != last+1 {
			v.add(Altered, last+1, "entry %d says that it is entry %d", last+1, r.seq)
			r.seq = last + 1
		}
		prev, last = r.hash, r.seq
	}
}

// single keeps one row for each number: the one that the next entry is chained
// to, then the one that stands behind the entry it is chained to, then the one
// stored under its number, then the first.
func (v *verifier) single(rows []row) []row {
	chained := make(map[artifact.Digest]bool, len(rows))
	for _, r := range rows {
		chained[r.entry.Prev] = true
	}
	ranks := make([]int, len(rows))
	var before artifact.Digest
	for i, r := range rows {
		ranks[i] = rank(chained[r.hash], r.readable && r.entry.Prev == before, r.readable && r.stored == r.seq)
		before = r.hash
	}
	best := make(map[uint64]int, len(rows))
	for i, r := range rows {
		if at, ok := best[r.seq]; !ok || ranks[i] > ranks[at] {
			best[r.seq] = i
		}
	}
	kept := make([]row, 0, len(best))
	for i, r := range rows {
		switch at := best[r.seq]; {
		case at == i:
			kept = append(kept, r)
		case !r.readable: // said so already
		case r.hash == rows[at].hash:
			v.add(Inserted, r.stored, "a copy of entry %d is stored as %d", r.seq, r.stored)
		default:
			v.add(Inserted, r.stored, "a second entry %d is stored as %d", r.seq, r.stored)
		}
	}
	return kept
}

// rank orders signs of being the right one, strongest first.
func rank(signs ...bool) (n int) {
	for _, s := range signs {
		n *= 2
		if s {
			n++
		}
	}
	return n
}

// gaps names the entries that are missing between others.
func (v *verifier) gaps() {
	var last uint64
	for _, r := range v.chain {
		switch {
		case r.seq == last+2:
			v.add(Removed, last+1, "entry %d is gone", last+1)
		case r.seq > last+2:
			v.add(Removed, last+1, "entries %d to %d are gone", last+1, r.seq-1)
		}
		last = r.seq
	}
}

// links follows the hashes from entry to entry. The later one of two carries
// the hash, so a broken link speaks against the earlier one, unless that one
// is proven by a checkpoint.
func (v *verifier) links() {
	var before row
	for _, r := range v.chain {
		switch {
		case !r.readable || r.seq != before.seq+1 || r.entry.Prev == before.hash:
		case before.seq != 0 && !before.readable: // said so already
		case r.seq <= v.proven: // a checkpoint proves both
		case before.seq <= v.proven:
			v.add(Altered, r.seq, "entry %d is not chained to the one before it", r.seq)
		default:
			v.add(Altered, before.seq, "entry %d is not what entry %d was chained to", before.seq, r.seq)
		}
		before = r
	}
}
