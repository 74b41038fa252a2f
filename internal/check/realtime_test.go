package check_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/watch"
)

// desk is where an agent's changes arrive: what is there by now, and when it
// came to be so.
type desk struct {
	mu   sync.Mutex
	open map[string]indicator.Indicator
	news chan struct{}
	// mapped says that a file stays mapped for writing, which is known where
	// leases tell.
	mapped bool
}

func (d *desk) changed(c agent.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range slices.Concat(c.New, c.Updated) {
		for id, o := range d.open {
			if o.Type == i.Type && o.File() == i.File() && slices.ContainsFunc(c.Updated, func(u indicator.Indicator) bool { return u.ID == i.ID }) {
				delete(d.open, id)
			}
		}
		d.open[i.ID] = i
	}
	for _, i := range c.Resolved {
		delete(d.open, i.ID)
	}
	select {
	case d.news <- struct{}{}:
	default:
	}
}

func (d *desk) said() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []indicator.Indicator
	for _, i := range d.open {
		if i.Type != indicator.ModelFileWriter || !d.mapped {
			list = append(list, i)
		}
	}
	return said(list)
}

// until waits for what is to be said, and returns how long it took.
func (d *desk) until(want []string, within time.Duration) (time.Duration, []string) {
	began, end := time.Now(), time.After(within)
	for {
		if got := d.said(); slices.Equal(got, want) {
			return time.Since(began), got
		}
		select {
		case <-d.news:
		case <-end:
			return time.Since(began), d.said()
		}
	}
}

// forgetful is a memory for one test.
type forgetful struct{}

func (forgetful) Put(context.Context, string, string, []byte, time.Time) error { return nil }
func (forgetful) Get(context.Context, string, string) ([]byte, time.Time, error) {
	return nil, time.Time{}, fault.New(fault.NotFound, "nothing")
}

// stand watches the host's model until the test ends.
func (m *matrix) stand(o watch.Options, interval time.Duration) *desk {
	m.Helper()
	m.checker.Now = time.Now
	live := m.live(check.DefaultSmall)
	guard := &manifest.Guard{}
	m.checker.Hashing.Guards = map[string]*manifest.Guard{"m": guard}
	d := &desk{open: map[string]indicator.Indicator{}, news: make(chan struct{}, 1)}
	eyes := &agent.Eyes{
		Looker: live, PassAge: time.Hour,
		Watcher: watch.New([]watch.Root{{ID: "m", Tree: layout.Detect(m.served()).Source()}}, o),
	}
	guard.Broken = func(path string) { eyes.Touch(watch.Event{Root: "m", Path: path, Kind: watch.Changed}) }
	ready := make(chan struct{}, 1)
	a := &agent.Agent{
		Checker: live, Memory: forgetful{}, Interval: interval, Log: slog.New(slog.DiscardHandler), Eyes: eyes, Changed: d.changed,
		Report: func(*check.Report) {
			select {
			case ready <- struct{}{}:
			default:
			}
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { guard.Run(ctx) })
	parts.Go(func() {
		if err := a.Run(ctx); err != nil {
			m.Errorf("run: %v", err)
		}
	})
	m.Cleanup(func() { stop(); parts.Wait() })
	<-ready
	return d
}

// The whole matrix while an agent watches: by what the kernel tells, by looking
// again and again, and by the cycles alone. With WEIGHTWARDEN_TABLE set to a
// file, the times are written there.
func TestTamperMatrixWatched(t *testing.T) {
	const never = 24 * time.Hour
	modes := []struct {
		name     string
		watch    watch.Options
		interval time.Duration
	}{
		{"realtime", watch.Options{}, never},
		{"polling", watch.Options{PollOnly: true, Poll: 100 * time.Millisecond}, never},
		{"scheduled", watch.Options{PollOnly: true, Poll: never}, 200 * time.Millisecond},
	}
	var mu sync.Mutex
	times := map[string]map[string]time.Duration{}
	t.Run("cases", func(t *testing.T) {
		for i, tt := range tamperCases() {
			if testing.Short() && i%4 != 0 {
				continue
			}
			for _, mode := range modes {
				t.Run(tt.name+"/"+mode.name, func(t *testing.T) {
					m := newMatrix(t)
					m.checker.Hashing = matrixBlocks
					tt.make(m)
					m.adopt()
					d := m.stand(mode.watch, mode.interval)
					if got := d.said(); len(got) > 0 {
						t.Fatalf("before anything was done: %v", got)
					}
					d.mapped = tt.name == "written_through_a_mapping"
					tt.do(m)
					took, got := d.until(tt.want, 20*time.Second)
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Errorf("indicators (-want +got):\n%s", diff)
					}
					mu.Lock()
					defer mu.Unlock()
					if times[tt.name] == nil {
						times[tt.name] = map[string]time.Duration{}
					}
					times[tt.name][mode.name] = took
				})
			}
		}
	})
	table := "| case | real time | polling every 100 ms | cycles every 200 ms |\n|---|---|---|---|\n"
	for _, tt := range tamperCases() {
		by := times[tt.name]
		table += fmt.Sprintf("| %s | %v | %v | %v |\n", tt.name, by["realtime"].Round(time.Millisecond), by["polling"].Round(time.Millisecond), by["scheduled"].Round(time.Millisecond))
	}
	t.Log("\n" + table)
	if name := os.Getenv("WEIGHTWARDEN_TABLE"); name != "" {
		m := &matrix{TB: t}
		m.must(os.WriteFile(name, []byte(table), 0o600))
	}
}

// A file that somebody opens for writing is known before anything is written,
// and what is done harmlessly raises nothing.
func TestWatchedWriters(t *testing.T) {
	m := newMatrix(t)
	m.checker.Hashing = matrixBlocks
	m.write("w.bin", string(make([]byte, 1<<20)))
	m.write("config.json", "{}")
	m.adopt()
	d := m.stand(watch.Options{}, 24*time.Hour)
	for n := range 50 { // harmless
		_, err := os.ReadFile(m.path("w.bin"))
		m.must(err)
		m.must(os.Chmod(m.path("config.json"), 0o600))
		m.must(os.Chmod(m.path("config.json"), 0o644))
		m.must(os.Chtimes(m.path("config.json"), time.Now(), time.Now()))
		m.must(os.WriteFile(filepath.Join(m.dir, "model.log"), []byte(fmt.Sprint(n)), 0o600))
		f, err := os.OpenFile(m.path("config.json"), os.O_WRONLY, 0)
		m.must(err)
		m.must(f.Close())
	}
	if took, got := d.until([]string{"something"}, 500*time.Millisecond); len(got) > 0 {
		t.Errorf("said after %v: %v", took, got)
	}
	f, err := os.OpenFile(m.path("w.bin"), os.O_WRONLY, 0)
	m.must(err)
	defer f.Close()
	var known bool
	if took, got := d.until([]string{"model_file_writer w.bin"}, 5*time.Second); len(got) > 0 {
		known = true
		t.Logf("the writer was known after %v", took)
	} else {
		t.Logf("leases prove nothing on this file system")
	}
	_, err = f.WriteAt([]byte("evil"), 77)
	m.must(err)
	want := []string{"model_file_tampered w.bin"}
	if known {
		want = append(want, "model_file_writer w.bin")
	}
	if _, got := d.until(want, 10*time.Second); !slices.Equal(got, want) {
		t.Errorf("while it is open: %v", got)
	}
	_, err = f.WriteAt([]byte{0, 0, 0, 0}, 77)
	m.must(err)
	m.must(f.Close())
	if _, got := d.until([]string{}, 10*time.Second); len(got) > 0 {
		t.Errorf("after it was put back: %v", got)
	}
}
