package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// cycles is a checker that finds what is written down for each cycle; the
// last line lasts. "!" is a cycle that fails.
type cycles struct {
	lines []string
	n     int
	slow  time.Duration
}

func (c *cycles) Run(ctx context.Context, _ []string) (*check.Report, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(c.slow):
	}
	line := c.lines[min(c.n, len(c.lines)-1)]
	c.n++
	if line == "!" {
		return nil, errors.New("no disk")
	}
	r := &check.Report{CheckTime: time.Now(), Models: []check.Model{{ID: "m"}, {ID: "n", Critical: true}}}
	for word := range strings.FieldsSeq(line) {
		source, what, _ := strings.Cut(word, ":")
		typ, file, _ := strings.Cut(what, "/")
		r.Indicators = append(r.Indicators, indicator.New(indicator.Type(typ), source, r.CheckTime, what, map[string]any{"file": file}, file))
	}
	return r, nil
}

// receiver is a webhook that is away until a moment, or hangs.
type receiver struct {
	start, up time.Time
	hangs     bool
	refuses   bool
	got, keys []string
	resolved  int // alerts about nothing else
	repeats   int
	tries     []time.Duration
	onSend    func()
}

func (r *receiver) Send(ctx context.Context, a notify.Alert) (retry bool, err error) {
	r.tries = append(r.tries, time.Since(r.start))
	if r.hangs {
		<-ctx.Done()
		return true, ctx.Err()
	}
	if time.Now().Before(r.up) {
		return !r.refuses, errors.New("connection refused")
	}
	if slices.Contains(r.keys, a.Key) { // as receivers do
		r.repeats++
		return false, nil
	}
	if text := news(strings.ReplaceAll(a.Text, "weightwarden: ", "")); text != "" {
		r.got = append(r.got, text)
	} else {
		r.resolved++
	}
	r.keys = append(r.keys, a.Key)
	if r.onSend != nil {
		r.onSend()
	}
	return false, nil
}

// alsoResolved is what the first line of an alert says beside the news.
var alsoResolved = regexp.MustCompile(`, [0-9]+ resolved`)

// news leaves out of an alert what was resolved; nothing is left of one that is
// about that alone.
func news(text string) string {
	head, rest, _ := strings.Cut(text, "\n")
	if _, what, _ := strings.Cut(head, " "); strings.HasPrefix(what, "resolved") {
		return ""
	}
	out := alsoResolved.ReplaceAllString(head, "")
	for line := range strings.SplitSeq(rest, "\n") {
		if line != "" && !strings.HasPrefix(line, "resolved:") {
			out += "\n" + line
		}
	}
	return out
}

// notes is a memory; it can be made to fail once, as a crash does.
type notes struct {
	docs  map[string][]byte
	crash func(op string) bool
	puts  int
}

func (n *notes) Put(_ context.Context, kind, name string, doc []byte, _ time.Time) error {
	if n.crash != nil && n.crash("put") {
		return errors.New("crashed")
	}
	n.puts++
	n.docs[kind+name] = doc
	return nil
}

func (n *notes) Get(_ context.Context, kind, name string) ([]byte, time.Time, error) {
	doc, ok := n.docs[kind+name]
	if !ok {
		return nil, time.Time{}, fault.New(fault.NotFound, "nothing")
	}
	return doc, time.Time{}, nil
}

// station is an agent with all that outlives it.
type station struct {
	cycles   cycles
	receiver receiver
	notes    notes
	queue    queue
	min      finding.Severity
	reports  []*check.Report
	log      lines
}

func newStation(lines ...string) *station {
	s := &station{cycles: cycles{lines: lines}, min: finding.Low}
	s.notes.docs, s.queue.ended = map[string][]byte{}, map[int64]string{}
	s.receiver.start = time.Now()
	return s
}

// lines is a log that several write into.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (s *station) delivery() *agent.Delivery {
	to := agent.Receivers{Transports: map[string]notify.Transport{"hook": &s.receiver}}
	d := agent.NewDelivery(&s.queue, to, slog.New(slog.NewTextHandler(&s.log, nil)))
	d.Jitter = func() float64 { return 0.5 }
	return d
}

// watch runs an agent for some time, in a bubble.
func (s *station) watch(t *testing.T, long time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	a := &agent.Agent{
		Checker: &s.cycles, Delivery: s.delivery(), Memory: &s.notes, Interval: time.Hour,
		MinSeverity: s.min, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
		Report: func(r *check.Report) { s.reports = append(s.reports, r) },
	}
	if err := a.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
}

const (
	bad     = "m:model_file_tampered/w"
	other   = "m:unexpected_model_file/x"
	badN    = "n:model_file_tampered/w"
	tellBad = "1 new for m\n[critical] model_file_tampered: model_file_tampered/w"
)

func told(source string, lines ...string) string {
	out := fmt.Sprintf("%d new for %s", len(lines), source)
	for _, l := range lines {
		severity, what, _ := strings.Cut(l, " ")
		typ, _, _ := strings.Cut(what, "/")
		out += fmt.Sprintf("\n[%s] %s: %s", severity, typ, what)
	}
	return out
}

func TestAlerts(t *testing.T) {
	failed := "1 new for watch\n[high] check_failed: the check could not be carried out: no disk"
	tests := []struct {
		name   string
		cycles []string
		want   []string
	}{
		{"nothing", []string{""}, nil},
		{"once_while_it_lasts", []string{bad}, []string{tellBad}},
		{"again_when_it_comes_back", []string{bad, bad, "", bad}, []string{tellBad, tellBad}},
		{"another_one_later", []string{bad, bad + " " + other}, []string{tellBad, told("m", "high unexpected_model_file/x")}},
		{"several_at_once_the_worst_first", []string{other + " " + bad}, []string{told("m", "critical model_file_tampered/w", "high unexpected_model_file/x")}},
		{"one_for_each_model_the_critical_one_first", []string{bad + " " + badN}, []string{told("n", "critical model_file_tampered/w"), tellBad}},
		{"twice_in_one_cycle", []string{bad + " " + bad}, []string{tellBad}},
		{"check_fails", []string{"!"}, []string{failed}},
		{"check_fails_for_a_while", []string{"", "!", "!", ""}, []string{failed}},
		{"check_fails_again", []string{"!", "", "!"}, []string{failed, failed}},
		{"known_before_and_after_a_failed_check", []string{bad, "!", bad}, []string{tellBad, failed}},
		{"gone_after_a_failed_check", []string{bad, "!", "", bad}, []string{tellBad, failed, tellBad}},
		{"model_not_readable_for_a_while", []string{bad, "m:model_unreadable", bad}, []string{tellBad, told("m", "high model_unreadable")}},
		{"directory_not_readable_for_a_while", []string{"m:model_file_tampered/d/w", "m:model_file_unreadable/d", "m:model_file_tampered/d/w"}, []string{
			told("m", "critical model_file_tampered/d/w"), told("m", "high model_file_unreadable/d"),
		}},
		{"another_file_not_readable", []string{bad, "m:model_file_unreadable/x", bad}, []string{tellBad, told("m", "high model_file_unreadable/x"), tellBad}},
		{"outputs_not_readable", []string{bad, "m:behavior_unreadable", bad}, []string{tellBad, told("m", "medium behavior_unreadable"), tellBad}},
		{"model_of_another_not_readable", []string{bad, "n:model_unreadable", bad}, []string{tellBad, told("n", "high model_unreadable"), tellBad}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(tt.cycles...)
				s.watch(t, time.Duration(len(tt.cycles)+2)*time.Hour)
				if diff := cmp.Diff(tt.want, s.receiver.got); diff != "" {
					t.Errorf("alerts (-want +got):\n%s", diff)
				}
				if n, _ := s.queue.Pending(t.Context()); n != 0 {
					t.Errorf("%d alerts wait", n)
				}
			})
		})
	}
}

// The same cycles with a restart after each of them.
func TestRestartsChangeNothing(t *testing.T) {
	lines := []string{bad, bad, "", bad + " " + other, "!", bad + " " + other, other}
	synctest.Test(t, func(t *testing.T) {
		whole, parts := newStation(lines...), newStation(lines...)
		whole.watch(t, time.Duration(len(lines))*time.Hour-time.Minute)
		for range lines {
			parts.watch(t, 30*time.Minute)
		}
		if diff := cmp.Diff(whole.receiver.got, parts.receiver.got); diff != "" || len(whole.receiver.got) != 3 {
			t.Errorf("alerts (-whole +parts):\n%s", diff)
		}
	})
}

func TestMinimumSeverity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(bad + " " + other)
		s.min = finding.Critical
		s.watch(t, 2*time.Hour)
		if diff := cmp.Diff([]string{tellBad}, s.receiver.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// What does not change is not written again: each version of it is kept.
func TestMemoryIsWrittenOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(bad)
		s.watch(t, 100*time.Hour)
		if s.notes.puts > 2 {
			t.Errorf("written %d times", s.notes.puts)
		}
	})
}

func TestOutage(t *testing.T) {
	tests := []struct {
		name    string
		away    time.Duration
		refuses bool
		long    time.Duration
		want    []string
		tries   int // at most
	}{
		{"none", 0, false, 2 * time.Hour, []string{tellBad}, 1},
		{"short", 10 * time.Second, false, 2 * time.Hour, []string{tellBad}, 5},
		{"four_hours", 4 * time.Hour, false, 5 * time.Hour, []string{tellBad}, 4*60 + 7},
		{"never_back", 1000 * time.Hour, false, 3 * time.Hour, nil, 3*60 + 7},
		{"refuses_for_ten_minutes", 10 * time.Minute, true, 2 * time.Hour, []string{tellBad}, 12},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(bad)
				s.receiver.up, s.receiver.refuses = time.Now().Add(tt.away), tt.refuses
				s.watch(t, tt.long)
				if diff := cmp.Diff(tt.want, s.receiver.got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if len(s.receiver.tries) > tt.tries {
					t.Errorf("tried %d times", len(s.receiver.tries))
				}
				if n, _ := s.queue.Pending(t.Context()); (n == 1) != (tt.want == nil) {
					t.Errorf("%d alerts wait", n)
				}
			})
		})
	}
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(bad)
		s.receiver.up = time.Now().Add(time.Hour)
		s.watch(t, 5*time.Minute)
		var gaps []int
		for i, at := range s.receiver.tries[1:] {
			gaps = append(gaps, int((at-s.receiver.tries[i]).Round(time.Second)/time.Second))
		}
		want := []int{1, 2, 4, 8, 16, 32, 60, 60, 60}
		if len(gaps) < 8 || len(gaps) > 9 || !slices.Equal(gaps, want[:len(gaps)]) {
			t.Errorf("waited %v seconds", gaps)
		}
	})
}

// A crash at each write of a cycle: nothing is lost, nothing repeated.
func TestCrashInTheMiddle(t *testing.T) {
	for _, lines := range [][]string{{bad + " " + badN}, {bad, bad + " " + badN}, {bad, "", bad}} {
		for n := 1; n < 10; n++ {
			t.Run(fmt.Sprintf("%d_cycles_write_%d", len(lines), n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashAt(t, lines, n) })
			})
		}
	}
}

func crashAt(t *testing.T, lines []string, n int) {
	whole := newStation(lines...)
	whole.watch(t, 10*time.Hour)
	s := newStation(lines...)
	dead := false
	var mu sync.Mutex // the cycle and the delivery both ask
	crash := func(string) bool {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			dead = true
			s.cycles.n-- // the restarted program looks at the same state
		}
		return dead
	}
	s.notes.crash, s.queue.crash = crash, crash
	for range lines {
		s.watch(t, 30*time.Minute)
		if dead {
			dead = false
			s.watch(t, 30*time.Minute)
		}
	}
	s.watch(t, 30*time.Minute)
	if diff := cmp.Diff(whole.receiver.got, s.receiver.got); diff != "" {
		t.Errorf("alerts (-without +with a crash):\n%s", diff)
	}
}

// An alert that was delivered in the moment of the stop is not sent again.
func TestStoppedWhileDelivering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(bad)
		ctx, stop := context.WithCancel(t.Context())
		s.receiver.onSend = stop
		a := &agent.Agent{
			Checker: &s.cycles, Delivery: s.delivery(), Memory: &s.notes, Interval: time.Hour,
			Log: slog.New(slog.DiscardHandler),
		}
		if err := a.Run(ctx); err != nil {
			t.Fatal(err)
		}
		s.watch(t, 3*time.Hour)
		if len(s.receiver.got) != 1 || s.receiver.repeats != 0 {
			t.Errorf("delivered %v, %d times more", s.receiver.got, s.receiver.repeats)
		}
	})
}

func TestStopsAtOnce(t *testing.T) {
	for name, set := range map[string]func(*station){
		"while_it_waits":      func(*station) {},
		"in_a_long_cycle":     func(s *station) { s.cycles.slow = 100 * time.Hour },
		"in_a_hanging_webook": func(s *station) { s.receiver.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(bad)
				set(s)
				start := time.Now()
				s.watch(t, 90*time.Minute)
				if took := time.Since(start); took != 90*time.Minute {
					t.Errorf("stopped after %v", took)
				}
				if s.cycles.slow > 0 && len(s.reports) > 0 {
					t.Error("a cycle that was stopped was reported")
				}
				if n, _ := s.queue.Pending(t.Context()); s.receiver.hangs && n != 1 {
					t.Errorf("%d alerts wait", n)
				}
			})
		})
	}
}

func TestWithoutTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(bad)
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		a := &agent.Agent{
			Checker: &s.cycles, Memory: &s.notes, Interval: time.Minute,
			Log: slog.New(slog.NewTextHandler(&s.log, nil)),
		}
		if err := a.Run(ctx); err != nil || len(s.queue.items) != 0 || len(s.receiver.tries) != 0 {
			t.Errorf("run: %v, queued %v", err, s.queue.items)
		}
		if strings.Count(s.log.String(), "new indicator") != 1 {
			t.Errorf("log:\n%s", s.log.String())
		}
	})
}

func TestLongAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line strings.Builder
		for i := range 25 {
			fmt.Fprintf(&line, "m:unexpected_model_file/%02d ", i)
		}
		s := newStation(line.String())
		s.watch(t, time.Minute)
		if len(s.receiver.got) != 1 || strings.Count(s.receiver.got[0], "\n") != 21 || !strings.HasSuffix(s.receiver.got[0], "and 5 more: weightwarden check") {
			t.Errorf("alerts: %q", s.receiver.got)
		}
	})
}

func TestFailedCycleIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation("!")
		s.watch(t, time.Minute)
		if len(s.reports) != 1 || s.reports[0].TotalIndicators != 1 || s.reports[0].Models == nil {
			t.Errorf("reports: %+v", s.reports)
		}
	})
}

// A memory that is no memory makes everything new, and stops nothing.
func TestUnreadableMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(bad)
		s.notes.docs["watch"+"active"] = []byte("\x00")
		s.watch(t, 3*time.Hour)
		if len(s.receiver.got) != 1 {
			t.Errorf("alerts: %q", s.receiver.got)
		}
	})
}
