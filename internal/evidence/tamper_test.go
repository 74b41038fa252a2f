package evidence_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/weightwarden/weightwarden/internal/evidence"
)

// small is a log in which every alteration there is can be tried.
func small(t *testing.T) evidence.LogState { return grow(t, ours, "a", 4, 1, "text") }

// names reports whether a problem stands at entry seq and says that what is
// there is not what was signed.
func names(problems []evidence.Problem, seq uint64) bool {
	return slices.ContainsFunc(problems, func(p evidence.Problem) bool {
		return p.Seq == seq && (p.Kind == evidence.Altered || p.Kind == evidence.Unreadable)
	})
}

// Every byte that is taken out of an entry, put in, or written over with any
// other, and every shorter entry, is named with the entry's number.
func TestEveryOtherByteOfAnEntryIsLocated(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	s := small(t)
	for i := range s.Rows {
		row := s.Rows[i].Raw
		check := func(what string, at int, altered []byte) {
			t.Helper()
			s.Rows[i].Raw = altered
			if got := evidence.VerifyLog(s, ours.Public()); !names(got, uint64(i+1)) {
				t.Fatalf("entry %d, %s %d: %v", i+1, what, at, got)
			}
		}
		for at := range row {
			check("cut to", at, row[:at])
			check("without byte", at, slices.Delete(bytes.Clone(row), at, at+1))
			for _, b := range []byte{0, ' ', '"', row[at], 0xff} {
				check("with a byte more at", at, slices.Insert(bytes.Clone(row), at, b))
			}
		}
		check("with a byte more at", len(row), append(bytes.Clone(row), '\n'))
		s.Rows[i].Raw = row
	}
}

// Every bit and byte of every checkpoint as it is stored: what is altered is
// said, and takes nothing from the other checkpoints.
func TestEveryOtherByteOfACheckpointIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	s := small(t)
	for i := range s.Notes {
		note := s.Notes[i]
		check := func(what string, at int, altered string) {
			t.Helper()
			s.Notes[i] = altered
			got := evidence.VerifyLog(s, ours.Public())
			if !slices.ContainsFunc(got, func(p evidence.Problem) bool { return p.Kind == evidence.Unsigned }) {
				t.Fatalf("checkpoint %d, %s %d: %v", i+1, what, at, got)
			}
			for _, p := range got { // no entry is called altered
				if p.Kind != evidence.Unsigned {
					t.Fatalf("checkpoint %d, %s %d: %v", i+1, what, at, got)
				}
			}
		}
		for bit := range len(note) * 8 {
			flipped := []byte(note)
			flipped[bit/8] ^= 1 << (bit % 8)
			check("bit", bit, string(flipped))
		}
		for at := range len(note) {
			check("cut to", at, note[:at])
			check("without byte", at, note[:at]+note[at+1:])
			check("with a byte more at", at, note[:at]+" "+note[at:])
		}
		s.Notes[i] = note
	}
}

// Every way to take checkpoints away and to change their order. One that is
// gone takes nothing away as long as a later one covers its entries; without
// the newest, the entries behind the one before it are covered by none.
func TestEverySetOfCheckpoints(t *testing.T) {
	all := small(t).Notes
	for set := range 1 << len(all) {
		s := small(t)
		s.Notes = nil
		covered := 0
		for i, note := range all {
			if set&(1<<i) != 0 {
				s.Notes, covered = append(s.Notes, note), i+1
			}
		}
		for range max(len(s.Notes), 1) {
			got := places(evidence.VerifyLog(s, ours.Public()))
			var want []place
			if covered < len(all) {
				want = []place{{evidence.Unsigned, uint64(covered + 1)}}
			}
			if !slices.Equal(got, want) {
				t.Errorf("checkpoints %04b, in another order: %v, want %v", set, got, want)
			}
			if len(s.Notes) > 0 {
				s.Notes = append(s.Notes[1:], s.Notes[0])
			}
		}
	}
}

// Every order of the entries but the right one.
func TestEveryOtherOrderIsFound(t *testing.T) {
	rows := small(t).Rows
	orders := 0
	permute(rows, func(order []evidence.Stored) {
		right := slices.IsSortedFunc(order, func(a, b evidence.Stored) int { return int(a.Seq) - int(b.Seq) })
		s := small(t)
		s.Rows = number(slices.Clone(order))
		got := evidence.VerifyLog(s, ours.Public())
		if right != (len(got) == 0) {
			t.Errorf("order %v: %v", order, got)
		}
		for i, r := range order {
			moved := r.Seq != uint64(i+1)
			named := slices.ContainsFunc(got, func(p evidence.Problem) bool { return p.Seq == uint64(i+1) })
			if moved && !named {
				t.Errorf("entry %d stands where %d belongs: %v", r.Seq, i+1, got)
			}
		}
		orders++
	})
	if orders != 24 {
		t.Fatalf("%d orders of 4", orders)
	}
}

// permute calls do with every order of rows.
func permute(rows []evidence.Stored, do func([]evidence.Stored)) {
	var next func([]evidence.Stored, []evidence.Stored)
	next = func(head, rest []evidence.Stored) {
		if len(rest) == 0 {
			do(head)
		}
		for i := range rest {
			next(append(slices.Clone(head), rest[i]), slices.Delete(slices.Clone(rest), i, i+1))
		}
	}
	next(nil, rows)
}
