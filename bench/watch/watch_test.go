// Package watch measures the watcher as a process: what it costs when nothing
// happens, that a great many harmless events raise nothing, and what it does
// under the limits of a container.
package watch

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// number is a size from the environment, so that the same test is a smoke test
// and, by hand, the whole thing.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// program builds the program once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "watch")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "weightwarden")
	cmd := exec.Command("go", "build", "-o", out, "../../cmd/weightwarden")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return out, nil
})

// host is a state directory, a configuration and a receiver of alerts.
type host struct {
	*testing.T
	dir, bin string
	mu       sync.Mutex
	alerts   []string
}

func newHost(t *testing.T) *host {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return &host{T: t, dir: t.TempDir(), bin: bin}
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *host) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alerts = append(h.alerts, string(body))
}

func (h *host) configure(more map[string]any) {
	h.Helper()
	srv := httptest.NewServer(h)
	h.Cleanup(srv.Close)
	conf := map[string]any{"alert_webhook": srv.URL, "alerts": map[string]any{"min_severity": "high"}}
	maps.Copy(conf, more)
	data, err := json.Marshal(conf)
	h.must(err)
	h.must(os.WriteFile(filepath.Join(h.dir, "c.json"), data, 0o600))
}

func (h *host) args(args ...string) []string {
	return append([]string{"--state", filepath.Join(h.dir, "state"), "--config", filepath.Join(h.dir, "c.json")}, args...)
}

// watch starts the watcher, in the control groups named.
func (h *host) watch(groups ...string) *exec.Cmd {
	h.Helper()
	script := ""
	for _, g := range groups {
		script += "echo $$ > " + g + "/cgroup.procs && "
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", script + `exec "$0" "$@"`, h.bin}, h.args("watch")...)...)
	log, err := os.Create(filepath.Join(h.dir, "log"))
	h.must(err)
	cmd.Stderr = log
	h.must(cmd.Start())
	h.Cleanup(func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait(); _ = log.Close() })
	return cmd
}

// status is what watch status says.
type status struct {
	Alive      bool   `json:"alive"`
	Silence    string `json:"silence"`
	Cycles     int    `json:"cycles"`
	TookMS     int    `json:"last_cycle_ms"`
	LagSeconds int    `json:"lag_seconds"`
	Models     []struct {
		Verdict string `json:"verdict"`
	} `json:"models"`
}

func (h *host) status() (s status) {
	out, _ := exec.Command(h.bin, h.args("watch", "status", "-o", "json")...).Output()
	_ = json.Unmarshal(out, &s)
	return s
}

// cycles waits for so many to have ended.
func (h *host) cycles(n int, within time.Duration) {
	h.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if h.status().Cycles >= n {
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(h.dir, "log"))
	h.Fatalf("no %d cycles within %v: %+v\n%s", n, within, h.status(), log)
}

// used is the processor time and the resident memory of a process.
func (h *host) used(pid int) (cpu time.Duration, rss int) {
	h.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	h.must(err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	sys, _ := strconv.Atoi(fields[12])
	pages, _ := strconv.Atoi(fields[21])
	return time.Duration(user+sys) * 10 * time.Millisecond, pages * os.Getpagesize() >> 10
}

// TestSoak: harmless events raise nothing, memory stays flat, and nothing costs
// next to nothing. By hand: SOAK_MODELS=1000 SOAK_EVENTS=1000000 SOAK_IDLE=300
// SOAK_INTERVAL=300.
func TestSoak(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	models, events := number("SOAK_MODELS", 20), number("SOAK_EVENTS", 20_000)
	idle, interval := number("SOAK_IDLE", 5), number("SOAK_INTERVAL", 2)
	const files = 100
	h := newHost(t)
	var list []map[string]any
	var paths []string
	for m := range models {
		dir := filepath.Join(h.dir, "models", fmt.Sprintf("m%d", m))
		h.must(os.MkdirAll(dir, 0o755))
		for f := range files {
			path := filepath.Join(dir, fmt.Sprintf("f%d", f))
			h.must(os.WriteFile(path, []byte(strings.Repeat(path, 1+f)), 0o644))
			paths = append(paths, path)
		}
		list = append(list, map[string]any{"id": fmt.Sprintf("m%d", m), "path": dir})
	}
	h.configure(map[string]any{"models": list, "check_interval_seconds": interval, "python": map[string]any{"environments": []string{}}})
	_ = exec.Command(h.bin, h.args("check")...).Run() // takes the baselines
	w := h.watch()
	h.cycles(1, 20*time.Minute)
	pid := w.Process.Pid
	spent, before := h.used(pid)
	var most int
	var sizes []int // resident, in MiB, in the course of the events
	for n := range events {
		h.harmless(paths, n)
		if n%(events/20) == 0 {
			_, rss := h.used(pid)
			most = max(most, rss)
			sizes = append(sizes, rss>>10)
		}
	}
	h.cycles(2, 5*time.Minute+time.Duration(interval)*time.Second)
	cpu, after := h.used(pid)
	t.Logf("the first verification took %v of processor time, the events and a cycle %v; resident in MiB meanwhile: %v", spent, cpu-spent, sizes)
	began := time.Now()
	time.Sleep(time.Duration(idle) * time.Second)
	later, _ := h.used(pid)
	share := float64(later-cpu) / float64(time.Since(began)) * 100
	t.Logf("%d models, %d files, %d harmless events: resident %d KiB before, %d at most, %d after; %.2f %% of a core when nothing happens, with a cycle every %d s that takes %d ms",
		models, len(paths), events, before, most, after, share, interval, h.status().TookMS)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.alerts) > 0 {
		t.Errorf("%d false alarms, the first: %s", len(h.alerts), h.alerts[0])
	}
	if interval >= 300 && share > 2 {
		t.Errorf("%.2f %% of a core when nothing happens", share)
	}
	if most > 2*before && most > 100<<10 {
		t.Errorf("memory grew from %d to %d KiB", before, most)
	}
}

// harmless does something that changes no model.
func (h *host) harmless(paths []string, n int) {
	path := paths[rand.N(len(paths))]
	switch n % 4 {
	case 0, 1:
		f, err := os.Open(path)
		h.must(err)
		_, _ = f.Read(make([]byte, 100))
		_ = f.Close()
	case 2:
		other := filepath.Join(h.dir, "models", "other-"+filepath.Base(path))
		h.must(os.WriteFile(other, nil, 0o600))
	default:
		f, err := os.OpenFile(filepath.Join(h.dir, "server.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		h.must(err)
		_, _ = fmt.Fprintln(f, "request served from", path)
		_ = f.Close()
	}
}

// group makes a control group of version 1 with the limits, or skips.
func (h *host) group(controller string, limits map[string]string) string {
	h.Helper()
	dir := filepath.Join("/sys/fs/cgroup", controller, fmt.Sprintf("weightwarden-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		h.Skipf("no control group: %v", err)
	}
	h.Cleanup(func() {
		for range 50 {
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	for name, value := range limits {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			h.Skipf("control group %s: %v", controller, err)
		}
	}
	return dir
}

// TestContainer: 200 millicores and 256 MiB watch a sparse model that is many
// times larger, are never killed, keep the promise of a full pass, and leave a
// busy reader beside them alone. By hand: CONTAINER_GB=20 CONTAINER_AGE=360
// CONTAINER_SECONDS=800.
func TestContainer(t *testing.T) {
	gb := number("CONTAINER_GB", 0)
	if gb == 0 {
		t.Skip("set CONTAINER_GB=20 to run it")
	}
	age, seconds := number("CONTAINER_AGE", 360), number("CONTAINER_SECONDS", 800)
	h := newHost(t)
	cpu := h.group("cpu", map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "20000"})
	memory := h.group("memory", map[string]string{"memory.limit_in_bytes": strconv.Itoa(256 << 20)})
	dir := filepath.Join(h.dir, "model")
	h.must(os.MkdirAll(dir, 0o755))
	h.must(os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o644))
	for n := range 4 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("model-%d.safetensors", n)))
		h.must(err)
		h.must(f.Truncate(int64(gb) << 28))
		h.must(f.Close())
	}
	h.configure(map[string]any{
		"models": []map[string]any{{"id": "m", "path": dir}}, "check_interval_seconds": 30,
		"watch": map[string]any{"full_pass_age": fmt.Sprintf("%ds", age)}, "python": map[string]any{"environments": []string{}},
	})
	_ = exec.Command(h.bin, h.args("check")...).Run() // takes the baseline
	began := time.Now()
	w := h.watch(cpu, memory)
	h.cycles(1, 20*time.Minute)
	first := time.Since(began)
	ratios, worst := h.beside(w, time.Duration(seconds)*time.Second)
	s := h.status()
	_, rss := h.used(w.Process.Pid)
	most, _ := os.ReadFile(filepath.Join(memory, "memory.max_usage_in_bytes"))
	failed, _ := os.ReadFile(filepath.Join(memory, "memory.oom_control"))
	t.Logf("%d GB in 256 MiB and 200 millicores: first verification %v; the stalest file was %d s old at most, %d promised; resident %d KiB, group at most %s bytes; %s; a busy reader had %.4f of its throughput (median of %d pairs)",
		gb, first.Round(time.Second), worst, age, rss, strings.TrimSpace(string(most)), strings.ReplaceAll(strings.TrimSpace(string(failed)), "\n", ", "), median(ratios), len(ratios))
	if !s.Alive || worst > age || len(s.Models) != 1 {
		t.Errorf("status: %+v, stalest %d s", s, worst)
	}
	if len(h.alerts) > 0 {
		t.Errorf("alerts: %v", h.alerts)
	}
}

// beside reads busily for a while, in pairs of windows: the watcher works, and
// it is held. The order within pairs alternates.
func (h *host) beside(w *exec.Cmd, long time.Duration) (ratios []float64, stalest int) {
	buf := make([]byte, 64<<20)
	window := func() float64 {
		began, n := time.Now(), 0
		for time.Since(began) < 2*time.Second {
			_ = sha256.Sum256(buf)
			n++
		}
		return float64(n) / time.Since(began).Seconds()
	}
	hold := func(s syscall.Signal) { h.must(w.Process.Signal(s)) }
	for end := time.Now().Add(long); time.Now().Before(end); {
		var with, without float64
		if len(ratios)%2 == 0 {
			with = window()
			hold(syscall.SIGSTOP)
			without = window()
			hold(syscall.SIGCONT)
		} else {
			hold(syscall.SIGSTOP)
			without = window()
			hold(syscall.SIGCONT)
			with = window()
		}
		ratios = append(ratios, with/without)
		time.Sleep(8 * time.Second) // it has to get on, too
		stalest = max(stalest, h.status().LagSeconds)
	}
	return ratios, stalest
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
