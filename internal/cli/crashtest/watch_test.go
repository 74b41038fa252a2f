package crashtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/store"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// watchKills is how often the watcher is killed.
const watchKills = 25

// pager is where alerts arrive: how often each file was named.
type pager struct {
	mu    sync.Mutex
	named map[string]int
}

var evilName = regexp.MustCompile(`evil-[0-9]+\.py`)

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range evilName.FindAllString(string(body), -1) {
		p.named[name]++
	}
	w.WriteHeader(http.StatusOK)
}

func (p *pager) names() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.named)
}

// watcher starts the program as a watcher.
func (s *site) watcher(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+s.dir, childPoint+"=0", childArgs+"=watch")
	c.Stderr = &bytes.Buffer{}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWatcherIsKilled kills the watcher at random moments while files are put
// into the model: each is alerted about in the end, no verdict that was told
// is missing in the record, and the baseline is the one that was taken.
func TestWatcherIsKilled(t *testing.T) {
	s := newSite(t)
	write(t, s.path("models", "m"), s.good)
	for _, name := range []string{"shards/1.bin", ".signatures/x.py"} {
		if s.good[name] == "" {
			_ = os.Remove(s.path("models", "m", name))
		}
	}
	p := &pager{named: map[string]int{}}
	receiver := httptest.NewServer(p)
	defer receiver.Close()
	conf, err := os.ReadFile(s.path("config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.dir, map[string]string{"config.yaml": string(conf) + "check_interval_seconds: 1\npython: {environments: []}\nwatch: {declare: critical}\nalert_webhook: " + receiver.URL + "\n"})
	baselines := s.entries(t, trust.Log, trust.KindBaseline)

	var put []string
	checked := 0
	for n := range watchKills {
		c := s.watcher(t)
		end := time.After(time.Duration(50+rand.N(900)) * time.Millisecond)
	round:
		for k := 0; ; k++ {
			select {
			case <-end:
				break round
			case <-time.After(time.Duration(rand.N(200)) * time.Millisecond):
				name := fmt.Sprintf("evil-%d.py", n*1000+k)
				write(t, s.path("models", "m"), map[string]string{name: name})
				put = append(put, name)
			}
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		checked += s.recorded(t, p.names())
	}
	last := s.watcher(t)
	for end := time.Now().Add(time.Minute); len(p.names()) < len(put) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	_ = last.Process.Signal(syscall.SIGTERM)
	if err := last.Wait(); err == nil {
		t.Log("the child has no handler for SIGTERM, and ended well")
	}
	s.recorded(t, p.names())
	told := p.names()
	repeated := 0
	for _, name := range put {
		if told[name] == 0 {
			t.Errorf("nobody was told of %s", name)
		}
		repeated += max(0, told[name]-1)
	}
	if repeated > watchKills {
		t.Errorf("%d alerts came more than once, with %d kills", repeated, watchKills)
	}
	if now := s.entries(t, trust.Log, trust.KindBaseline); len(now) != len(baselines) {
		t.Errorf("there were %d baselines, and now there are %d", len(baselines), len(now))
	}
	t.Logf("%d kills, %d files put there, %d times a verdict was told and in the record, %d alerts twice", watchKills, len(put), checked, repeated)
}

// entries returns the entries of a kind in a log that verifies.
func (s *site) entries(t *testing.T, log, kind string) (found []evidence.Entry) {
	t.Helper()
	key, err := signer.StateKey(s.path("state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), s.path("state"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	state, err := db.Ledger().State(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	if problems := evidence.VerifyLog(state, key.Public()); len(problems) > 0 {
		t.Errorf("the record %s: %v", log, problems)
	}
	for _, row := range state.Rows {
		e, err := evidence.ParseEntry(row.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// recorded checks that whatever somebody was told is in the record, and returns
// how many files that are.
func (s *site) recorded(t *testing.T, told map[string]int) int {
	t.Helper()
	known := map[string]bool{}
	for _, e := range s.entries(t, agent.VerdictLog, agent.KindVerdict) {
		var v agent.Verdict
		if err := json.Unmarshal(e.Body, &v); err != nil {
			t.Fatal(err)
		}
		for _, id := range v.New {
			known[id] = true
		}
	}
	count := 0
	for _, name := range slices.Sorted(maps.Keys(told)) {
		digest := artifact.SHA256Of([]byte(name)).String()
		id := indicator.New(indicator.UnexpectedModelFile, "m", time.Time{}, "", nil, name, string(artifact.Regular), digest, "").ID
		if !known[id] {
			t.Errorf("somebody was told of %s, and the record does not know it", name)
		}
		count++
	}
	return count
}
