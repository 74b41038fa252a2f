// Package hash measures how fast a model in the page cache is observed for the
// first time and again, beside openssl, sha256sum and b3sum where they are
// installed:
//
//	go test -run='^$' -bench=. -benchtime=7x ./bench/hash
//
// All of them take turns in each round, and medians are reported with the
// least and the most, because machines are noisy. The limit of SHA-256 is one
// openssl process for each processor, with the files shared out among them. It
// needs 4 GiB of free memory and disk; the files are removed afterwards. With
// TMPDIR on a tmpfs, where leases prove nothing, blocks are copied instead of
// mapped for the re-check, which is slower.
package hash

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/manifest"
)

func BenchmarkModel(b *testing.B) {
	for _, layout := range []struct {
		name  string
		files int
		size  int64
	}{
		{"4x64MiB", 4, 64 << 20}, // short rounds, for machines that others use too
		{"4x1GiB", 4, 1 << 30},
		{"1x4GiB", 1, 4 << 30},
		{"1000x4MiB", 1000, 4 << 20},
	} {
		b.Run(layout.name, func(b *testing.B) {
			dir := model(b, layout.files, layout.size)
			total := float64(layout.files) * float64(layout.size)
			m, blocks := tagged(b, dir)
			contestants := contestants(b, dir, m, blocks)
			speeds, costs := map[string][]float64{}, map[string][]float64{}
			for first := true; b.Loop(); first = false {
				for _, c := range contestants {
					if c.slow && !first {
						continue // one round is enough to see by how much
					}
					before := cpu(b)
					speeds[c.name] = append(speeds[c.name], total/timed(b, c.run)/1e9)
					costs[c.name] = append(costs[c.name], total/(cpu(b)-before)/1e9)
				}
			}
			for _, c := range contestants {
				v := slices.Sorted(slices.Values(speeds[c.name]))
				b.Logf("%-10s %6.2f GB/s  (%.2f to %.2f)  %6.2f GB per second of processor time",
					c.name, median(v), v[0], v[len(v)-1], median(costs[c.name]))
				b.ReportMetric(median(v), c.name+"-GB/s")
			}
			for _, pair := range [][2]string{{"take", "openssl"}, {"recheck", "openssl"}, {"recheck", "b3sum"}} {
				ratio(b, speeds, pair[0], pair[1], "")
				ratio(b, costs, pair[0], pair[1], "-per-cpu")
			}
			b.ReportMetric(peak(b), "peak-RSS-MiB")
		})
	}
}

// ratio reports the median of what was measured round by round, which noise
// that lasts does not reach.
func ratio(b *testing.B, speeds map[string][]float64, of, to, unit string) {
	b.Helper()
	var r []float64
	for i := range min(len(speeds[of]), len(speeds[to])) {
		r = append(r, speeds[of][i]/speeds[to][i])
	}
	if len(r) > 0 {
		b.ReportMetric(median(r), of+"/"+to+unit)
	}
}

type contestant struct {
	name string
	slow bool
	run  func() error
}

func contestants(b *testing.B, dir string, m *manifest.Manifest, blocks *manifest.Blocks) []contestant {
	b.Helper()
	files, err := filepath.Glob(dir + "/*/*")
	if err != nil {
		b.Fatal(err)
	}
	list := []contestant{
		{"take", false, func() error {
			_, err := manifest.Take(b.Context(), dir, manifest.Options{})
			return err
		}},
		{"take+tags", false, func() error {
			fresh, err := manifest.NewBlocks(make([]byte, manifest.SecretSize), nil)
			if err == nil {
				_, err = manifest.Take(b.Context(), dir, manifest.Options{Blocks: fresh})
			}
			return err
		}},
		{"recheck", false, func() error {
			r, err := manifest.Recheck(b.Context(), dir, m, blocks, manifest.Options{Lease: true}) // as check does
			if err == nil && len(r.Changed) > 0 {
				err = errors.New("a clean model differs")
			}
			return err
		}},
	}
	for _, program := range []struct {
		name      string
		args      []string
		processes int
	}{
		{"openssl", []string{"dgst", "-sha256"}, runtime.NumCPU()},
		{"sha256sum", nil, runtime.NumCPU()},
		{"b3sum", nil, 1}, // uses all processors itself
	} {
		path, err := exec.LookPath(program.name)
		if err != nil {
			b.Logf("%s is not installed", program.name)
			continue
		}
		list = append(list, contestant{program.name, program.name == "sha256sum", func() error {
			return sideBySide(b, path, program.args, files, program.processes)
		}})
	}
	return list
}

// tagged observes the model with tags.
func tagged(b *testing.B, dir string) (*manifest.Manifest, *manifest.Blocks) {
	b.Helper()
	blocks, err := manifest.NewBlocks(make([]byte, manifest.SecretSize), nil)
	if err != nil {
		b.Fatal(err)
	}
	m, err := manifest.Take(b.Context(), dir, manifest.Options{Blocks: blocks})
	if err != nil {
		b.Fatal(err)
	}
	return m, blocks
}

// BenchmarkUnchanged is about a model under lease: nobody can have written to
// it, so it is not read, whatever its size. It needs a file system on which
// leases prove something.
func BenchmarkUnchanged(b *testing.B) {
	dir := b.TempDir()
	for i := range 8 {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(f.Truncate(1<<30), f.Close()); err != nil { // sparse
			b.Fatal(err)
		}
	}
	m, blocks := tagged(b, dir)
	var g manifest.Guard
	defer g.Close()
	check := func() int {
		r, err := manifest.Recheck(b.Context(), dir, m, blocks, manifest.Options{Guard: &g})
		if err != nil {
			b.Fatal(err)
		}
		return r.Kept
	}
	check()
	if check() != 8 {
		b.Skipf("no leases to rely on in %s", dir)
	}
	for b.Loop() {
		check()
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/check")
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

// model makes files that are on the disk and in the page cache.
func model(b *testing.B, files int, size int64) string {
	b.Helper()
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
		if size >= 1<<20 {
			err = f.Sync() // nobody writes back while we measure
		}
		if err := errors.Join(err, f.Close()); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// sideBySide shares the files out among processes and waits for all.
func sideBySide(b *testing.B, program string, args, files []string, processes int) error {
	b.Helper()
	shares := make([][]string, min(processes, len(files)))
	for i, f := range files {
		shares[i%len(shares)] = append(shares[i%len(shares)], f)
	}
	var running []*exec.Cmd
	for _, share := range shares {
		cmd := exec.CommandContext(b.Context(), program, append(slices.Clone(args), share...)...)
		if err := cmd.Start(); err != nil {
			return err
		}
		running = append(running, cmd)
	}
	var errs []error
	for _, cmd := range running {
		errs = append(errs, cmd.Wait())
	}
	return errors.Join(errs...)
}

func timed(b *testing.B, run func() error) float64 {
	b.Helper()
	start := time.Now()
	if err := run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start).Seconds()
}

// cpu returns the seconds of processor time that this process and those it
// waited for have used. On a machine that others use too, it says more than
// the clock.
func cpu(b *testing.B) (seconds float64) {
	b.Helper()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		seconds += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	return seconds
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
