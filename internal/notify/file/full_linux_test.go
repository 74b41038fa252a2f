package file_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// On a full disk a line is there whole or not at all, and the alert is kept
// for another try. The limit on the size of files stands for the full disk, in
// a process of its own.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	if limit := os.Getenv("WW_TEST_LIMIT"); limit != "" {
		n, _ := strconv.ParseUint(limit, 10, 64)
		full := syscall.Rlimit{Cur: n, Max: n}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
			t.Fatal(err)
		}
		path = os.Getenv("WW_TEST_FILE")
		retry, err := send(t, path, "2")
		if err == nil || !retry {
			t.Errorf("retry %v, %v", retry, err)
		}
		return
	}
	if _, err := send(t, path, "1"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$")
	cmd.Env = append(os.Environ(), "WW_TEST_LIMIT="+strconv.FormatInt(info.Size()+20, 10), "WW_TEST_FILE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.Join(keys(t, path), " "); got != "1" {
		t.Errorf("alerts on the full disk: %s", got)
	}
	if _, err := send(t, path, "2"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(keys(t, path), " "); got != "1 2" {
		t.Errorf("alerts after it: %s", got)
	}
}
