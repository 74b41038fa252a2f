// Package scan measures the whole program on what scanners of models find
// hard: a pickle of 2.25 million opcodes, a thousand small ones, and a model of
// ten gigabytes, beside the disassembler of CPython where python3 is installed:
//
//	go test -run='^$' -bench=. -benchtime=5x ./bench/scan
//
// picklescan 1.0.5 took 4.7 s and 325 MB of memory for a pickle of 2.25 million
// opcodes on the machine where it was measured; its loop is that of pickletools.genops, which
// is what CPython's figure here stands for. Times are of whole processes, with their start;
// medians are reported, and the most memory. Nothing is ever loaded.
package scan

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// contestant is a program that is measured.
type contestant struct {
	name         string
	args         []string
	seconds, cpu []float64
	memory       int64
}

// disassemble goes through the opcodes of files and folders as picklescan does.
const disassemble = `
import os, pickletools, sys
for top in sys.argv[1:]:
    names = [top] if os.path.isfile(top) else [os.path.join(top, n) for n in sorted(os.listdir(top))]
    for name in names:
        with open(name, "rb") as f:
            for op in pickletools.genops(f): pass
`

// program builds the program once for a benchmark.
func program(b *testing.B) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "weightwarden")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-o", bin, "./cmd/weightwarden")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// measure lets the program, and CPython where it is wanted, take turns.
func measure(b *testing.B, path string, withPython bool) {
	b.Helper()
	state := b.TempDir()
	all := []*contestant{{name: "weightwarden", args: []string{program(b), "--state", state, "scan", path}}}
	if python, err := exec.LookPath("python3"); err == nil && withPython {
		all = append(all, &contestant{name: "genops", args: []string{python, "-I", "-c", disassemble, path}})
	}
	for b.Loop() {
		for _, c := range all {
			c.run(b)
		}
	}
	for _, c := range all {
		b.Logf("%-12s %7.3f s  %7.3f s of processor time  %4d MiB", c.name, median(c.seconds), median(c.cpu), c.memory>>20)
		b.ReportMetric(median(c.seconds), c.name+"-s")
		b.ReportMetric(float64(c.memory>>20), c.name+"-MiB")
	}
	if len(all) > 1 {
		b.ReportMetric(median(all[1].cpu)/median(all[0].cpu), "times-genops")
	}
}

// run runs it once; a scan of what is benign has to say so.
func (c *contestant) run(b *testing.B) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), c.args[0], c.args[1:]...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%.2000s", c.name, err, out)
	}
	c.seconds = append(c.seconds, time.Since(start).Seconds())
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatal("no figures of the process")
	}
	c.cpu = append(c.cpu, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	c.memory = max(c.memory, usage.Maxrss<<10)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func le32(n int) string    { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func le64(n int64) string  { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
func text(s string) string { return "X" + le32(len(s)) + s }

// records writes a pickle of protocol 2 of n records, {name: (number, number,
// name)}, nine opcodes for each, memoized as CPython does it. It goes straight
// to the file: what this process holds would count as the programs' memory.
func records(b *testing.B, path string, n int) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	slot := 0
	put := func(parts ...string) {
		for _, p := range parts {
			_, _ = w.WriteString(p) // an error comes back from Flush
		}
		slot++
		_, _ = w.WriteString("r" + le32(slot))
	}
	put("\x80\x02]")
	_, _ = w.WriteString("(")
	for i := range n {
		put("}")
		put(text(fmt.Sprintf("k%d", i)))
		put("J", le32(i), "G?\xf0\x00\x00\x00\x00\x00\x00", text(fmt.Sprint(i)))
		put("\x87")
		_, _ = w.WriteString("s")
	}
	_, _ = w.WriteString("e.")
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMillionsOfOpcodes is to take less than 0.25 s and 64 MiB.
func BenchmarkMillionsOfOpcodes(b *testing.B) {
	path := filepath.Join(b.TempDir(), "big.pkl")
	records(b, path, 250_000)
	measure(b, path, true)
}

// BenchmarkThousandPickles scans 1000 files of 11 kB.
func BenchmarkThousandPickles(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		records(b, filepath.Join(dir, fmt.Sprintf("%04d.pkl", i)), 190)
	}
	measure(b, dir, true)
}

// BenchmarkTenGigabytes judges models by their structure; less than 100 ms.
func BenchmarkTenGigabytes(b *testing.B) {
	const size = 10 << 30
	for name, create := range map[string]func(*testing.B, string, int64){"model.safetensors": safetensors, "model.pt": torch} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), name)
			create(b, path, size)
			measure(b, path, false)
		})
	}
}

// sparse writes pieces of a file that is otherwise a hole.
func sparse(b *testing.B, path string, end int64, pieces map[int64]string) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for at, data := range pieces {
		if _, err := f.WriteAt([]byte(data), at); err != nil {
			b.Skip("no sparse files here: ", err)
		}
	}
	if err := f.Truncate(end); err != nil {
		b.Skip("no sparse files here: ", err)
	}
}

// safetensors is a file of one tensor.
func safetensors(b *testing.B, path string, size int64) {
	b.Helper()
	header := fmt.Sprintf(`{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, size, size)
	header += strings.Repeat(" ", -len(header)&7)
	sparse(b, path, 8+int64(len(header))+size, map[int64]string{0: le64(int64(len(header))) + header})
}

// torch is an archive of one storage.
func torch(b *testing.B, path string, size int64) {
	b.Helper()
	pickle := "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nByteStorage\n" + text("0") + text("cpu") +
		"\x8a\x08" + le64(size) + "tQK\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
	var front, directory bytes.Buffer
	entry := func(name, data string, length int64) {
		at := int64(front.Len())
		extra := "\x01\x00\x10\x00" + le64(length) + le64(length)
		sum := le32(0)
		if data != "" {
			sum = le32(int(crc32.ChecksumIEEE([]byte(data))))
		}
		fields := "\x00\x00\x00\x00\x00\x00\x00\x00" + sum + "\xff\xff\xff\xff\xff\xff\xff\xff" + string([]byte{byte(len(name)), 0, byte(len(extra)), 0})
		front.WriteString("PK\x03\x04\x2d\x00" + fields + name + extra + data)
		directory.WriteString("PK\x01\x02\x2d\x00\x2d\x00" + fields + strings.Repeat("\x00", 10) + le32(int(at)) + name + extra)
	}
	entry("m/data.pkl", pickle, int64(len(pickle)))
	entry("m/data/0", "", size)
	at := int64(front.Len()) + size
	tail := "PK\x06\x06" + le64(44) + "\x2d\x00\x2d\x00" + strings.Repeat("\x00", 8) + le64(2) + le64(2) + le64(int64(directory.Len())) + le64(at) +
		"PK\x06\x07" + le32(0) + le64(at+int64(directory.Len())) + le32(1) + "PK\x05\x06" + le32(0) + "\x02\x00\x02\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"
	sparse(b, path, at+int64(directory.Len()+len(tail)), map[int64]string{0: front.String(), at: directory.String() + tail})
}
