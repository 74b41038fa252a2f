package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/store"
)

// appendTo is the environment variable that makes the test binary append to
// the log of a state directory until it is killed.
const appendTo = "WEIGHTWARDEN_TEST_APPEND_TO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(appendTo); dir != "" {
		fmt.Println(appendForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// appendForEver prints the number of each entry once it is reported as stored.
func appendForEver(dir string) error {
	db, err := store.Open(context.Background(), dir, stateKey)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		drafts := []evidence.Draft{draft, draft, draft}[:i%3+1]
		// What is synced later outlives the process all the same.
		entries, err := []*store.DB{db, db.Deferred()}[i%2].Ledger().Append(context.Background(), "a", evidence.Any, drafts...)
		if err != nil {
			return err
		}
		for _, e := range entries {
			fmt.Println(e.Seq)
		}
	}
}

func TestKilledWhileAppending(t *testing.T) {
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	last := 0
	for round := range 30 {
		last = max(last, appendAndKill(t, dir, round%5 == 4, time.Duration(random.IntN(60_000))*time.Microsecond))
		db := open(t, dir)
		wantLog(t, db, last)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("round %d, seed %d, last reported entry %d", round, seed, last)
		}
	}
	if last == 0 {
		t.Error("nothing was ever appended")
	}
	t.Logf("%d entries reported over 30 rounds", last)
}

// appendAndKill starts a process that appends, kills it a while after its
// first entry, or after its start, and returns the last entry that it reported.
func appendAndKill(t *testing.T, dir string, early bool, after time.Duration) (last int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), appendTo+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	if early {
		kill = time.AfterFunc(after, func() { child.Process.Kill() })
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Error(lines.Text())
		}
		if kill == nil {
			kill = time.AfterFunc(after, func() { child.Process.Kill() })
		}
	}
	child.Wait()
	return last
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=700"); err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dir, stateKey)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	stored := 0
	for err == nil {
		if _, err = db.Ledger().Append(t.Context(), "a", evidence.Any, draft); err == nil {
			stored++
		}
	}
	if fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(fault.HintOf(err), "space") {
		t.Errorf("after %d entries: %v, kind %v, hint %s", stored, err, fault.KindOf(err), fault.HintOf(err))
	}
	wantLog(t, db, stored)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Ledger().Append(t.Context(), "a", uint64(stored), draft); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	wantLog(t, db, stored+1)
}

func TestFullDiskFromTheStart(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 60<<10), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dir, stateKey)
	if err == nil {
		t.Fatalf("opened: %v", db.Close())
	}
	if fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" {
		t.Errorf("got %v, kind %v", err, fault.KindOf(err))
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("to_%d_entries", n), func(b *testing.B) {
			dir := b.TempDir()
			db, err := store.Open(b.Context(), dir, stateKey)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { db.Close() }()
			drafts := make([]evidence.Draft, n)
			for i := range drafts {
				drafts[i] = draft
			}
			if _, err := db.Ledger().Append(b.Context(), "a", 0, drafts...); err != nil {
				b.Fatal(err)
			}
			// Closing writes back the journal of the large append.
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
			if db, err = store.Open(b.Context(), dir, stateKey); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := db.Ledger().Append(b.Context(), "a", evidence.Any, draft); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
