// Package hash measures how fast a model in the page cache is observed, beside
// two openssl processes that share the same files:
//
//	go test -run='^$' -bench=. -benchtime=7x ./bench/hash
//
// The runs of the two alternate, and medians are reported, because machines
// are noisy. It needs 4 GiB of free memory; the files are removed afterwards.
package hash

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/manifest"
)

func BenchmarkTake(b *testing.B) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		b.Skipf("nothing to compare with: %v", err)
	}
	for _, layout := range []struct {
		name  string
		files int
		size  int64
	}{
		{"4x1GiB", 4, 1 << 30},
		{"2x2GiB", 2, 2 << 30},
		{"1000x4MiB", 1000, 4 << 20},
	} {
		b.Run(layout.name, func(b *testing.B) {
			dir := model(b, layout.files, layout.size)
			total := float64(layout.files) * float64(layout.size)
			var ours, theirs []float64
			self, children := cpu(b, syscall.RUSAGE_SELF), cpu(b, syscall.RUSAGE_CHILDREN)
			for b.Loop() {
				ours = append(ours, total/timed(b, func() error {
					_, err := manifest.Take(b.Context(), dir, manifest.Options{})
					return err
				}))
				theirs = append(theirs, total/timed(b, func() error { return pair(b, openssl, dir) }))
			}
			b.ReportMetric(median(ours)/1e9, "GB/s")
			b.ReportMetric(median(theirs)/1e9, "openssl-GB/s")
			b.ReportMetric(median(ours)/median(theirs), "ratio")
			b.ReportMetric((cpu(b, syscall.RUSAGE_CHILDREN)-children)/(cpu(b, syscall.RUSAGE_SELF)-self), "cpu-ratio")
			b.ReportMetric(peak(b), "peak-RSS-MiB")
		})
	}
}

// BenchmarkManyFiles is about what the walk and the manifest cost.
func BenchmarkManyFiles(b *testing.B) {
	dir := model(b, 100_000, 100)
	for b.Loop() {
		if _, err := manifest.Take(b.Context(), dir, manifest.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(peak(b), "peak-RSS-MiB")
}

// model makes files in memory where the system has a place for that.
func model(b *testing.B, files int, size int64) string {
	b.Helper()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		b.Setenv("TMPDIR", "/dev/shm")
	}
	dir := b.TempDir()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 31 >> 3)
	}
	for i := range files {
		sub := filepath.Join(dir, strconv.Itoa(i/1000))
		err := os.MkdirAll(sub, 0o700)
		f, ferr := os.Create(filepath.Join(sub, strconv.Itoa(i)))
		if err := errors.Join(err, ferr); err != nil {
			b.Fatal(err)
		}
		for left := size; left > 0; left -= int64(len(block)) {
			if _, err := f.Write(block[:min(left, int64(len(block)))]); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// pair hashes the files of dir with two processes, half of them each.
func pair(b *testing.B, openssl, dir string) error {
	files, err := filepath.Glob(dir + "/*/*")
	if err != nil {
		return err
	}
	half := len(files) / 2
	first := exec.CommandContext(b.Context(), openssl, append([]string{"dgst", "-sha256"}, files[:half]...)...)
	second := exec.CommandContext(b.Context(), openssl, append([]string{"dgst", "-sha256"}, files[half:]...)...)
	if err := errors.Join(first.Start(), second.Start()); err != nil {
		return err
	}
	return errors.Join(first.Wait(), second.Wait())
}

func timed(b *testing.B, run func() error) float64 {
	b.Helper()
	start := time.Now()
	if err := run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start).Seconds()
}

// cpu returns the seconds of processor time used so far. On a machine that
// others use too, it says more than the clock.
func cpu(b *testing.B, who int) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// peak returns the most memory this process ever had resident, in MiB, or 0
// where the system does not say.
func peak(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0
	}
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
