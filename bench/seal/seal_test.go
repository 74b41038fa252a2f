// Package seal measures how long it takes to seal a model as evidence, beside
// openssl, which only hashes it:
//
//	go test -run='^$' -bench=. -benchtime=5x -timeout=1h ./bench/seal
//
// A seal is a whole assessment: manifest, copy in the vault, read back, compared
// with the disk past the page cache, and synced. Both take turns, and medians
// of each round's ratio are reported, of the clock and of processor time. The
// model is in the page cache. Beside them stands what cp and sync take for the
// same file: no seal can be done before its copy is. TMPDIR says where model and vault are; on a disk
// that writes more slowly than a processor hashes, the disk is what is measured.
// The large one takes no room: it has holes.
package seal

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/assess"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/trust"
	"github.com/weightwarden/weightwarden/internal/vault"
)

func BenchmarkSeal(b *testing.B) {
	for _, model := range []struct {
		name       string
		size, data int64 // how large it is, and how much of that is no hole
	}{
		{"512MiB", 512 << 20, 512 << 20},
		{"4GiB", 4 << 30, 4 << 30},
		{"100GB_with_holes", 100_000_000_000, 1 << 30},
	} {
		b.Run(model.name, func(b *testing.B) {
			if testing.Short() && model.size > 1<<30 {
				b.Skip("takes minutes")
			}
			openssl, err := exec.LookPath("openssl")
			if err != nil {
				b.Skip("openssl is not installed")
			}
			dir := b.TempDir()
			path := filepath.Join(dir, "m", "weights.bin")
			write(b, path, model.size, model.data)
			var clock, cpu, took, least, both []float64
			for b.Loop() {
				var out []byte
				hashTook, hashCPU := measured(b, syscall.RUSAGE_CHILDREN, func() (err error) {
					out, err = exec.CommandContext(b.Context(), openssl, "dgst", "-sha256", path).Output()
					return err
				})
				copied := filepath.Join(dir, "copy")
				copyTook, copyCPU := measured(b, syscall.RUSAGE_CHILDREN, func() error {
					return errors.Join(exec.CommandContext(b.Context(), "cp", path, copied).Run(), exec.CommandContext(b.Context(), "sync", copied).Run())
				})
				if err := os.Remove(copied); err != nil {
					b.Fatal(err)
				}
				var got artifact.Digest
				sealTook, sealCPU := measured(b, syscall.RUSAGE_SELF, func() error {
					got = seal(b, filepath.Join(dir, "vault"), filepath.Dir(path))
					return nil
				})
				if !strings.Contains(string(out), got.Hex()) {
					b.Fatalf("openssl says %s, and sealed is %s", out, got)
				}
				clock, cpu, took = append(clock, sealTook/hashTook), append(cpu, sealCPU/hashCPU), append(took, sealTook)
				least, both = append(least, sealTook/max(hashTook, copyTook)), append(both, sealCPU/(hashCPU+copyCPU))
				if err := os.RemoveAll(filepath.Join(dir, "vault")); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(median(took), "s/seal")
			b.ReportMetric(float64(model.size)/median(took)/1e9, "GB/s")
			b.ReportMetric(median(clock), "seal/openssl")
			b.ReportMetric(median(cpu), "seal/openssl-cpu")
			b.ReportMetric(median(least), "seal/slower-of-openssl-and-cp")
			b.ReportMetric(median(both), "seal/openssl+cp-cpu")
			b.ReportMetric(peak(b), "peak-RSS-MiB")
		})
	}
}

// seal assesses the model into a new vault and returns the digest of its file.
func seal(b *testing.B, dir, model string) artifact.Digest {
	b.Helper()
	v, err := vault.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	var weights artifact.Digest
	a := &assess.Assessor{Vault: v, Now: time.Now, Record: func(_ context.Context, _ string, body any) error {
		if item, ok := body.(evidence.Item); ok && item.Type == "model_file" {
			weights = item.SHA256
		}
		return nil
	}}
	got, err := a.Run(b.Context(), artifact.Model{ID: "m", Path: model}, nil, &trust.State{})
	if err != nil || !got.Sealed {
		b.Fatalf("%+v, %v", got, err)
	}
	return weights
}

// write makes a file with its data in pieces between holes, synced.
func write(b *testing.B, path string, size, data int64) {
	b.Helper()
	err := os.Mkdir(filepath.Dir(path), 0o700)
	f, openErr := os.Create(path)
	if err := errors.Join(err, openErr); err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i*31>>3) | 1
	}
	pieces := data / int64(len(block))
	for i := range pieces {
		copy(block, strconv.FormatInt(i, 10))
		if _, err := f.WriteAt(block, size/pieces*i); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Sync()); err != nil {
		b.Fatal(err)
	}
}

// measured returns the seconds of clock and of processor time.
func measured(b *testing.B, who int, run func() error) (clock, cpu float64) {
	b.Helper()
	before, start := used(b, who), time.Now()
	if err := run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start).Seconds(), (used(b, who) - before).Seconds()
}

func used(b *testing.B, who int) time.Duration {
	b.Helper()
	u := usage(b, who)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func peak(b *testing.B) float64 {
	b.Helper()
	u := usage(b, syscall.RUSAGE_SELF)
	return float64(u.Maxrss) / 1024
}

func usage(b *testing.B, who int) (u syscall.Rusage) {
	b.Helper()
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return u
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
