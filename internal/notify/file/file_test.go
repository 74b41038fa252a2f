package file_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/file"
)

func send(t *testing.T, path, key string) (bool, error) {
	t.Helper()
	tr, err := (&file.Config{Path: path}).Open(notify.World{})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Send(t.Context(), notify.Alert{Key: key, Text: "a\nb", Severity: finding.High, Status: notify.Firing})
}

func keys(t *testing.T, path string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var a notify.Alert
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			out = append(out, "broken")
			continue
		}
		out = append(out, a.Key)
	}
	return out
}

func TestLinesAndRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	for _, key := range []string{"1", "2"} {
		if retry, err := send(t, path, key); err != nil || retry {
			t.Fatalf("retry %v, %v", retry, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if _, err := send(t, path, "3"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(append(keys(t, path+".1"), keys(t, path)...), " "); got != "1 2 3" {
		t.Errorf("alerts %s", got)
	}
}

// What a crash left of a line does not swallow the next one.
func TestAfterHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	if err := os.WriteFile(path, []byte(`{"key":"1"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := send(t, path, "2"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(keys(t, path), " "); got != "broken 2" {
		t.Errorf("alerts %s", got)
	}
}

func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, link, filepath.Join(dir, "no", "such"), "/dev/full", "/dev/null"} {
		if retry, err := send(t, path, "1"); err == nil || !retry {
			t.Errorf("%s: retry %v, %v", path, retry, err)
		}
	}
	if data, _ := os.ReadFile(target); len(data) != 0 {
		t.Error("written through a link")
	}
}
