package scan_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
	"github.com/weightwarden/weightwarden/internal/scan"
)

// sparse writes a head and makes the file that long, which takes no room on the
// disk.
func sparse(t testing.TB, path, head string, size int64) {
	t.Helper()
	if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Skip("no sparse files here: ", err)
	}
}

// hugeTensors is a safetensors file of ten gibibytes in that many tensors.
func hugeTensors(t testing.TB, path string, n int) {
	each := int64(10<<30) / int64(n) / 64 * 64
	var b strings.Builder
	for i := range int64(n) {
		fmt.Fprintf(&b, `,"model.layers.%d.self_attn.q_proj.weight":{"dtype":"BF16","shape":[%d,32],"data_offsets":[%d,%d]}`, i, each/64, i*each, (i+1)*each)
	}
	header := `{"__metadata__":{"format":"pt"}` + b.String() + "}"
	sparse(t, path, le64(uint64(len(header)))+header, 8+int64(len(header))+int64(n)*each)
}

// hugeGGUF is a GGUF file of ten gibibytes in that many tensors, with a
// vocabulary of 150 000 words.
func hugeGGUF(t testing.TB, path string, n int) {
	each := uint64(10<<30) / uint64(n) / 1088 * 1088
	infos := make([]string, n)
	for i := range infos {
		infos[i] = ggufTensor(fmt.Sprintf("blk.%d.attn_q.weight", i), 8, uint64(i)*each, each/34*32)
	}
	words := le32(8) + le64(150_000) + strings.Repeat(ggufText("▁word"), 150_000)
	head := gguf([]string{ggufKey("general.architecture", 8, ggufText("llama")), ggufKey("tokenizer.ggml.tokens", 9, words)}, infos, "")
	sparse(t, path, head, int64(len(head))+int64(uint64(n)*each))
}

// hugeONNX is a model of two gibibytes, one tensor of which has nearly all.
func hugeONNX(t testing.TB, path string) {
	const size = 2 << 30
	length := func(number int, n int) string {
		return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(n)))
	}
	tensor := count(1, size/4) + count(2, 1) + field(8, "w") + length(9, size)
	initializer := length(5, len(tensor)+size) + tensor
	node := onnxNode("x w", "y", "MatMul")
	head := count(1, 8) + length(7, len(node)+len(initializer)+size) + node + initializer
	sparse(t, path, head, int64(len(head))+size)
}

func hugeFiles(t testing.TB) map[string]string {
	dir := t.TempDir()
	paths := map[string]string{"safetensors": filepath.Join(dir, "a.safetensors"), "gguf": filepath.Join(dir, "a.gguf"), "onnx": filepath.Join(dir, "a.onnx")}
	hugeTensors(t, paths["safetensors"], 500)
	hugeGGUF(t, paths["gguf"], 500)
	hugeONNX(t, paths["onnx"])
	return paths
}

// What has only weights behind its description is judged by that.
func TestHugeTensorFiles(t *testing.T) {
	for name, path := range hugeFiles(t) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			c := report.NewScanCollector()
			if _, err := scan.Run(t.Context(), []string{path}, scan.Options{Detectors: catalog.All()}, c); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			if c.Document.Verdict != finding.Clean || took > 2*time.Second || allocated > 64<<20 {
				t.Errorf("verdict is %s after %v and %d bytes: %.500s", c.Document.Verdict, took, allocated, fmt.Sprint(c.Document.Findings))
			}
			t.Logf("%v, %d kB allocated", took, allocated>>10)
		})
	}
}

func BenchmarkHugeTensorFiles(b *testing.B) {
	for name, path := range hugeFiles(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := scan.Run(b.Context(), []string{path}, scan.Options{Detectors: catalog.All()}, report.NewScanCollector()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
