//go:build linux

// Package modeltest tells many made-up stories of operators, outsiders,
// crashes and failing disks with the real commands, and holds what becomes of
// them against a model of the rules that was written without the program.
package modeltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// In the environment: how many sequences, from which seed on, or one story to
// tell again as it was printed.
const (
	envCount  = "WEIGHTWARDEN_MODEL_SEQUENCES"
	envSeed   = "WEIGHTWARDEN_MODEL_SEED"
	envReplay = "WEIGHTWARDEN_MODEL_REPLAY"
)

// few is how many sequences an ordinary run tells, if they do not take longer
// than patience. A run that was asked for a number tells them all.
const (
	few      = 100
	patience = 25 * time.Second
)

// figures count what happened, so that nobody takes a run in which nothing
// went wrong for a proof.
type figures struct {
	moves, applied, refused, failed, crashed, killed, together, resumed, folded, recovered, stuck atomic.Int64
}

func (f *figures) String() string {
	return fmt.Sprintf("%d moves: %d commands succeeded, %d were refused, %d failed; %d were cut off, %d killed, %d with another at the same time; "+
		"%d incidents resumed, %d folds held against the world, %d recovered at the end, %d had nothing to go back to",
		f.moves.Load(), f.applied.Load(), f.refused.Load(), f.failed.Load(), f.crashed.Load(), f.killed.Load(), f.together.Load(),
		f.resumed.Load(), f.folded.Load(), f.recovered.Load(), f.stuck.Load())
}

func (s *story) count(m move, results []result) {
	f := s.figures
	f.moves.Add(1)
	if m.With != nil {
		f.together.Add(1)
	}
	for _, r := range results {
		switch r.code {
		case -1:
			f.killed.Add(1)
		case 0:
			f.applied.Add(1)
		case 5:
			f.refused.Add(1)
		default:
			f.failed.Add(1)
		}
		if r.struck && m.Blow.How == "crash" {
			f.crashed.Add(1)
		}
	}
}

// known are stories that once showed a mistake, as they were printed then.
var known = []string{
	// Two plans had the same marker, and only the second lost it.
	`0 [{"by":"ben@host","do":"mark"},{"by":"ben@host","do":"isolate"},{"by":"ana@host","do":"mark"},{"by":"ben@host","do":"undo"},{"by":"ana@host","do":"undo"}]`,
	// Nobody looked at the exchange that was cut off.
	`0 [{"by":"eve@host","do":"isolate","case":1,"blow":{"how":"fail","at":24,"class":"create","errno":"EPERM","where":"all"}},` +
		`{"by":"ben@host","do":"resume","blow":{"how":"crash","at":20}},{"by":"ana@host","do":"undo one","arg":"deny"}]`,
	// The marker named a digest that was not known to the first plan.
	`1 [{"by":"eve@host","do":"mark"},{"by":"ana@host","do":"assess"},{"by":"eve@host","do":"mark"}]`,
}

// TestModel tells the sequences. One that breaks a property is made as short
// as it can be and printed in a form that can be told again.
func TestModel(t *testing.T) {
	bases := []*site{newSite(t, true, false), newSite(t, false, false), newSite(t, true, true)}
	if text := os.Getenv(envReplay); text != "" {
		replay(t, bases, text)
		return
	}
	for _, text := range known {
		which, moves := parse(t, text)
		if err := attempt(t, bases[which], moves, &figures{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	count, seed := number(t, envCount, 0), number(t, envSeed, 1)
	until := time.Now().Add(24 * time.Hour)
	if count == 0 {
		count, until = few, time.Now().Add(patience)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // half of the time would be collecting
	var f figures
	start, told := time.Now(), 0
	next := make(chan uint64)
	var wg sync.WaitGroup
	var failures atomic.Int64
	for range 3 { // more than cores: half of the time is waiting for the disk
		wg.Go(func() {
			for n := range next {
				if !sequenceHolds(t, bases, n, &f) {
					failures.Add(1)
				}
			}
		})
	}
	for n := seed; n < seed+count && failures.Load() < 5 && time.Now().Before(until); n++ {
		next <- n
		told++
	}
	close(next)
	wg.Wait()
	t.Logf("%d sequences from seed %d in %v: %v", told, seed, time.Since(start).Round(time.Second), &f)
	if f.resumed.Load() == 0 || f.recovered.Load() == 0 || f.refused.Load() == 0 || f.crashed.Load() == 0 || f.killed.Load() == 0 || f.folded.Load() == 0 {
		t.Errorf("something that has to happen did not: %v", &f)
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// choose returns the site that a seed begins with, and its moves.
func choose(bases []*site, seed uint64) (int, []move) {
	r := rand.New(rand.NewPCG(seed, 0))
	which := []int{0, 0, 0, 1, 2, 2}[r.IntN(6)]
	return which, sequence(r, which != 1, which == 2)
}

func sequenceHolds(t *testing.T, bases []*site, seed uint64, f *figures) bool {
	which, moves := choose(bases, seed)
	err := attempt(t, bases[which], moves, f)
	if err == nil {
		return true
	}
	short := shrink(moves, func(m []move) bool { return sameTrouble(err, attempt(t, bases[which], m, &figures{})) })
	t.Errorf("seed %d: %v\nthe shortest that shows it:\n%s\ntell it again:\n%s='%d %s'",
		seed, attemptOr(t, bases[which], short, err), list(short), envReplay, which, encode(short))
	return false
}

func attemptOr(t *testing.T, base *site, moves []move, otherwise error) error {
	if err := attempt(t, base, moves, &figures{}); err != nil {
		return err
	}
	return otherwise
}

// attempt tells a sequence in a directory that is gone afterwards.
func attempt(t *testing.T, base *site, moves []move, f *figures) error {
	dir, err := os.MkdirTemp(filepath.Dir(base.dir), "story-") //nolint:usetesting // gone after the story, not after the test
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return tell(base, dir, moves, f)
}

// sameTrouble reports whether a shorter sequence shows the same thing: a
// property that is broken, not a test that does not work any more.
func sameTrouble(first, now error) bool {
	var a, b broken
	if now == nil || errors.As(first, &a) != errors.As(now, &b) {
		return false
	}
	return firstWords(a.what) == firstWords(b.what)
}

func firstWords(s string) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(3, len(words))], " ")
}

func list(moves []move) string {
	var out strings.Builder
	for n, m := range moves {
		fmt.Fprintf(&out, "  %d. %v\n", n+1, m)
	}
	return out.String()
}

// parse reads a story: the number of its site, and its moves.
func parse(t *testing.T, text string) (which int, moves []move) {
	t.Helper()
	number, rest, _ := strings.Cut(text, " ")
	which, err := strconv.Atoi(number)
	try(t, err)
	try(t, json.Unmarshal([]byte(rest), &moves))
	return which, moves
}

// replay tells one story and shows what was recorded.
func replay(t *testing.T, bases []*site, text string) {
	t.Helper()
	which, moves := parse(t, text)
	dir := t.TempDir()
	if err := tell(bases[which], dir, moves, &figures{}); err != nil {
		t.Error(err)
	}
	show(t, bases[which], dir)
}

// show prints what was recorded behind the beginning that all stories share.
func show(t *testing.T, base *site, dir string) {
	t.Helper()
	st := &story{site: &site{dir: dir}}
	rows, err := st.stored()
	try(t, err)
	old := &story{site: base}
	before, err := old.stored()
	try(t, err)
	for log := range rows {
		for _, r := range rows[log][len(before[log]):] {
			var e row
			try(t, json.Unmarshal(r.Raw, &e))
			t.Logf("%s %3d %s %s %s %.300s", log, e.Seq, e.Time.Format("15:04:05"), e.By, e.Kind, e.Body)
		}
	}
}

// shrink leaves out moves, and blows, as long as what is left still breaks.
func shrink(moves []move, breaks func([]move) bool) []move {
	for size := max(len(moves)/2, 1); size >= 1; size /= 2 {
		for at := 0; at+size <= len(moves); {
			less := append(append([]move(nil), moves[:at]...), moves[at+size:]...)
			if breaks(less) {
				moves = less
			} else {
				at += size
			}
		}
	}
	for n := range moves {
		for _, simpler := range simpler(moves[n]) {
			less := append([]move(nil), moves...)
			less[n] = simpler
			if breaks(less) {
				moves = less
			}
		}
	}
	return moves
}

// simpler are forms of a move in which less happens.
func simpler(m move) []move {
	var out []move
	if m.Apart {
		here := m
		here.Apart = false
		if here.Blow.How == "kill" {
			here.Blow.How = "crash"
		}
		out = append(out, here)
	}
	if m.Blow.How != "" {
		calm := m
		calm.Blow, calm.Apart = blow{}, false
		out = append(out, calm)
	}
	if m.With != nil {
		alone := m
		alone.With = nil
		out = append(out, alone)
	}
	return out
}
