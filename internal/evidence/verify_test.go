package evidence_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// grow returns a log of n entries with a checkpoint after every so many and
// one at the end, signed by k.
func grow(t testing.TB, k evidence.SigningKey, log string, n, every int, word string) evidence.LogState {
	t.Helper()
	s := evidence.LogState{Log: log}
	var tree evidence.Tree
	var prev artifact.Digest
	for i := 1; i <= n; i++ {
		e, err := evidence.Seal(log, uint64(i), prev, evidence.Draft{
			Time: noon.Add(time.Duration(i) * time.Second), Actor: "user@host", Kind: "note", Body: fmt.Sprint(word, i),
		})
		if err != nil {
			t.Fatal(err)
		}
		prev = e.Hash()
		tree.Add(prev)
		s.Rows = append(s.Rows, evidence.Stored{Seq: uint64(i), Raw: e.Raw()})
		if i%every == 0 || i == n {
			s.Notes = append(s.Notes, k.SignCheckpoint(evidence.Checkpoint{
				Origin: k.Public().Origin(log), Size: tree.Size(), Root: tree.Root(),
			}))
		}
	}
	return s
}

// place is what a test expects of a problem: its text may change.
type place struct {
	Kind evidence.Alteration
	Seq  uint64
}

func places(problems []evidence.Problem) []place {
	var out []place
	for _, p := range problems {
		out = append(out, place{p.Kind, p.Seq})
	}
	return out
}

// foreign is one entry after seq of a log, sealed by somebody who can write
// to the store but has no key.
func foreign(t testing.TB, s evidence.LogState, seq uint64) []byte {
	t.Helper()
	prev := artifact.Digest{}
	if seq > 1 {
		prev = evidence.LeafHash(s.Rows[seq-2].Raw)
	}
	e, err := evidence.Seal(s.Log, seq, prev, evidence.Draft{Time: noon, Kind: "note", Body: "foreign"})
	if err != nil {
		t.Fatal(err)
	}
	return e.Raw()
}

// shift inserts raw as row at (1 is the first) and moves up the numbers of the
// rows behind it.
func shift(rows []evidence.Stored, at int, raw []byte) []evidence.Stored {
	rows = slices.Insert(rows, at-1, evidence.Stored{Raw: raw})
	return number(rows)
}

func number(rows []evidence.Stored) []evidence.Stored {
	for i := range rows {
		rows[i].Seq = uint64(i + 1)
	}
	return rows
}

func TestVerifyLogOfUnalteredLogs(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 64, 100} {
		for _, every := range []int{1, 7, 1000} {
			s := grow(t, ours, "a", n, every, "text")
			if got := evidence.VerifyLog(s, ours.Public()); got != nil {
				t.Errorf("%d entries, checkpoint every %d: %v", n, every, got)
			}
		}
	}
}

// size is how long the logs are that the tests alter.
const size = 6

// eachWay runs check on a log with a checkpoint after each entry and on one
// with checkpoints only over the last entry and over those before it.
func eachWay(t *testing.T, check func(t *testing.T, fresh func() evidence.LogState)) {
	for name, every := range map[string]int{"checkpoint_each": 1, "checkpoint_before_end": size - 1} {
		t.Run(name, func(t *testing.T) {
			check(t, func() evidence.LogState { return grow(t, ours, "a", size, every, "text") })
		})
	}
}

func expect(t *testing.T, what string, s evidence.LogState, want ...place) {
	t.Helper()
	if diff := cmp.Diff(want, places(evidence.VerifyLog(s, ours.Public())), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestVerifyLogNamesEveryPlace(t *testing.T) {
	eachWay(t, func(t *testing.T, fresh func() evidence.LogState) {
		for i := 1; i <= size; i++ {
			at := uint64(i)
			s := fresh()
			s.Rows[i-1].Raw = []byte(string(s.Rows[i-1].Raw[:20]) + "X" + string(s.Rows[i-1].Raw[21:]))
			expect(t, fmt.Sprint("unreadable ", i), s, place{evidence.Unreadable, at})

			s = fresh()
			s.Rows[i-1].Raw = foreign(t, s, at)
			expect(t, fmt.Sprint("altered ", i), s, place{evidence.Altered, at})

			s = fresh()
			s.Rows = slices.Delete(s.Rows, i-1, i)
			want := place{evidence.Removed, at}
			if i == size {
				want.Kind = evidence.CutOff
			}
			expect(t, fmt.Sprint("removed ", i), s, want)
			s.Rows = number(s.Rows)
			expect(t, fmt.Sprint("removed and renumbered ", i), s, want)

			s = fresh()
			s.Rows = shift(s.Rows, i, foreign(t, s, at))
			if i < size {
				expect(t, fmt.Sprint("inserted new ", i), s, place{evidence.Inserted, at})
			} else { // both can be the last; the first of them is not the signed one
				expect(t, fmt.Sprint("inserted new ", i), s, place{evidence.Altered, at}, place{evidence.Inserted, at + 1})
			}

			s = fresh()
			s.Rows[i-1].Seq += 100
			slices.SortFunc(s.Rows, func(a, b evidence.Stored) int { return int(a.Seq) - int(b.Seq) })
			got := places(evidence.VerifyLog(s, ours.Public()))
			if !slices.Contains(got, place{evidence.Reordered, at}) {
				t.Errorf("number %d changed: %v", i, got)
			}
		}
	})
}

func TestVerifyLogNamesEveryPair(t *testing.T) {
	eachWay(t, func(t *testing.T, fresh func() evidence.LogState) {
		for i := 1; i <= size; i++ {
			for j := 1; j <= size; j++ {
				s := fresh()
				if i < j {
					s.Rows[i-1].Raw, s.Rows[j-1].Raw = s.Rows[j-1].Raw, s.Rows[i-1].Raw
					expect(t, fmt.Sprintf("swapped %d and %d", i, j), s,
						place{evidence.Reordered, uint64(i)}, place{evidence.Reordered, uint64(j)})
				}
				s = fresh()
				s.Rows = shift(s.Rows, j, s.Rows[i-1].Raw)
				got := places(evidence.VerifyLog(s, ours.Public()))
				want := place{evidence.Inserted, uint64(j)}
				if i == j {
					want.Seq++ // of two equal neighbours the second is the copy
				}
				if diff := cmp.Diff([]place{want}, got); diff != "" {
					t.Errorf("copy of %d put in as %d: %s", i, j, diff)
				}
				s = fresh()
				if i < j {
					s.Rows = slices.Delete(s.Rows, i-1, j)
					want := place{evidence.Removed, uint64(i)}
					if j == size {
						want.Kind = evidence.CutOff
					}
					expect(t, fmt.Sprintf("removed %d to %d", i, j), s, want)
				}
			}
		}
	})
}

func TestVerifyLogAgainstCheckpoints(t *testing.T) {
	fresh := func() evidence.LogState { return grow(t, ours, "a", size, 1, "text") }
	rewritten := grow(t, key(ours.Name, 9), "a", size, 1, "other")
	other := grow(t, ours, "b", size, 1, "text")
	tests := []struct {
		name  string
		alter func(*evidence.LogState)
		want  []place
	}{
		{"tail_cut", func(s *evidence.LogState) { s.Rows = s.Rows[:3] }, []place{{evidence.CutOff, 4}}},
		{"everything_cut", func(s *evidence.LogState) { s.Rows = nil }, []place{{evidence.CutOff, 1}}},
		{"tail_cut_with_its_checkpoints", func(s *evidence.LogState) { s.Rows, s.Notes = s.Rows[:3], s.Notes[:3] }, nil},
		{"the_same_against_an_exported_checkpoint", func(s *evidence.LogState) {
			s.Trusted = s.Notes[4:5]
			s.Rows, s.Notes = s.Rows[:3], s.Notes[:3]
		}, []place{{evidence.CutOff, 4}}},
		{"last_entry_altered_with_one_checkpoint", func(s *evidence.LogState) {
			s.Rows[size-1].Raw, s.Notes = foreign(t, *s, size), s.Notes[size-1:]
		}, []place{{evidence.Rewritten, 1}}},
		{"newest_checkpoint_gone", func(s *evidence.LogState) { s.Notes = s.Notes[:4] }, []place{{evidence.Unsigned, 5}}},
		{"all_checkpoints_gone", func(s *evidence.LogState) { s.Notes = nil }, []place{{evidence.Unsigned, 1}}},
		{"entry_appended_without_key", func(s *evidence.LogState) {
			s.Rows = append(s.Rows, evidence.Stored{Seq: size + 1, Raw: foreign(t, *s, size+1)})
		}, []place{{evidence.Unsigned, size + 1}}},
		{"copy_appended", func(s *evidence.LogState) {
			s.Rows = append(s.Rows, evidence.Stored{Seq: size + 1, Raw: s.Rows[1].Raw})
		}, []place{{evidence.Inserted, size + 1}}},
		{"rewritten_without_key", func(s *evidence.LogState) { s.Rows = rewritten.Rows }, []place{{evidence.Rewritten, 1}}},
		{"rewritten_from_4_on", func(s *evidence.LogState) {
			for i := uint64(4); i <= size; i++ {
				s.Rows[i-1].Raw = foreign(t, *s, i)
			}
		}, []place{{evidence.Rewritten, 4}}},
		{"rewritten_and_signed_with_another_key", func(s *evidence.LogState) {
			s.Trusted = s.Notes[2:3]
			s.Rows, s.Notes = rewritten.Rows, rewritten.Notes[size-1:]
		}, []place{{evidence.Unsigned, 0}, {evidence.Rewritten, 1}, {evidence.Unsigned, 4}}},
		{"checkpoint_of_another_log", func(s *evidence.LogState) { s.Notes = append(s.Notes, other.Notes[0]) }, []place{{evidence.Unsigned, 0}}},
		{"log_of_another_name", func(s *evidence.LogState) { s.Rows, s.Notes = other.Rows[:1], nil }, []place{{evidence.Altered, 1}, {evidence.Unsigned, 1}}},
		{"entry_of_another_log_put_in", func(s *evidence.LogState) { s.Rows = shift(s.Rows, 3, other.Rows[2].Raw) }, []place{{evidence.Inserted, 3}}},
		{"entry_of_another_log_in_place", func(s *evidence.LogState) { s.Rows[2].Raw = other.Rows[2].Raw }, []place{{evidence.Altered, 3}}},
		{"checkpoint_altered", func(s *evidence.LogState) { s.Notes[2] = "x" + s.Notes[2] }, []place{{evidence.Unsigned, 0}}},
		{"two_things_at_once", func(s *evidence.LogState) {
			s.Rows[1].Raw = foreign(t, *s, 2)
			s.Rows = slices.Delete(s.Rows, 3, 4)
		}, []place{{evidence.Altered, 2}, {evidence.Removed, 4}}},
		{"rewritten_and_then_altered", func(s *evidence.LogState) {
			for i := uint64(3); i <= size; i++ {
				s.Rows[i-1].Raw = foreign(t, *s, i)
			}
			s.Rows[4].Raw = []byte("{}")
		}, []place{{evidence.Rewritten, 3}, {evidence.Unreadable, 5}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh()
			tt.alter(&s)
			expect(t, tt.name, s, tt.want...)
		})
	}
}

func TestVerifyLogFindsEveryFlippedBit(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	s := grow(t, ours, "a", 5, 4, "text")
	for i := range s.Rows {
		row := slices.Clone(s.Rows[i].Raw)
		s.Rows[i].Raw = row
		for bit := range len(row) * 8 {
			row[bit/8] ^= 1 << (bit % 8)
			got := evidence.VerifyLog(s, ours.Public())
			if !slices.ContainsFunc(got, func(p evidence.Problem) bool {
				return p.Seq == uint64(i+1) && (p.Kind == evidence.Altered || p.Kind == evidence.Unreadable)
			}) {
				t.Fatalf("bit %d of entry %d: %v", bit, i+1, got)
			}
			row[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func FuzzVerifyLogFindsAnyOtherRow(f *testing.F) {
	f.Add(1, []byte(`{}`))
	f.Fuzz(func(t *testing.T, i int, raw []byte) {
		s := grow(t, ours, "a", 3, 1, "text")
		i = int(uint(i) % 3)
		if string(raw) == string(s.Rows[i].Raw) {
			return
		}
		s.Rows[i].Raw = raw
		if got := evidence.VerifyLog(s, ours.Public()); len(got) == 0 {
			t.Errorf("row %d replaced by %q: no problem found", i+1, raw)
		}
	})
}

func BenchmarkVerifyLog(b *testing.B) {
	for _, every := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("100000_entries_checkpoint_every_%d", every), func(b *testing.B) {
			s := grow(b, ours, "a", 100_000, every, "text")
			for b.Loop() {
				if got := evidence.VerifyLog(s, ours.Public()); got != nil {
					b.Fatal(got)
				}
			}
		})
	}
}

// A log with very many checkpoints is verified through the newest of them;
// each of the others still has to name the root that the entries have.
func TestVerifyLogWithManyCheckpoints(t *testing.T) {
	if testing.Short() {
		t.Skip("many repetitions on one goroutine")
	}
	const n = 5000
	other := grow(t, ours, "b", 1, 1, "text").Notes[0]
	long := grow(t, ours, "a", n, 1, "text")
	lying := evidence.Checkpoint{Origin: ours.Public().Origin("a"), Size: 17, Root: artifact.SHA256Of(nil)}
	tests := []struct {
		name  string
		alter func(*evidence.LogState)
		want  []place
	}{
		{"unaltered", func(*evidence.LogState) {}, nil},
		{"text_altered", func(s *evidence.LogState) { s.Notes[7] = "x" + s.Notes[7] }, []place{{evidence.Unsigned, 0}}},
		{"another_log", func(s *evidence.LogState) { s.Notes[7] = other }, []place{{evidence.Unsigned, 0}}},
		{"another_key", func(s *evidence.LogState) { s.Notes[7] = key("x", 9).SignCheckpoint(lying) }, []place{{evidence.Unsigned, 0}}},
		{"false_root_without_the_key", func(s *evidence.LogState) { s.Notes[16] = key(ours.Name, 9).SignCheckpoint(lying) }, []place{{evidence.Unsigned, 0}}},
		{"false_root_with_the_key", func(s *evidence.LogState) { s.Notes[16] = ours.SignCheckpoint(lying) }, []place{{evidence.Rewritten, 17}}},
		{"newest_forged", func(s *evidence.LogState) {
			s.Notes[n-1] = key(ours.Name, 9).SignCheckpoint(evidence.Checkpoint{Origin: lying.Origin, Size: n, Root: lying.Root})
		}, []place{{evidence.Unsigned, 0}, {evidence.Unsigned, n}}},
		{"entry_altered", func(s *evidence.LogState) { s.Rows[41].Raw = foreign(t, *s, 42) }, []place{{evidence.Altered, 42}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := evidence.LogState{Log: "a", Rows: slices.Clone(long.Rows), Notes: slices.Clone(long.Notes)}
			tt.alter(&s)
			expect(t, tt.name, s, tt.want...)
		})
	}
}
