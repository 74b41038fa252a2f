package check_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// BenchmarkCycle is what a cycle costs when nothing happened: models of a
// hundred small files.
func BenchmarkCycle(b *testing.B) {
	const models, files = 10, 100
	b.Run("idle", func(b *testing.B) {
		m := newMatrix(b)
		m.checker.Hashing = matrixBlocks
		m.checker.Baselines.Decoded = &baseline.Decoded{}
		m.checker.Hashing.Guards = map[string]*manifest.Guard{}
		for n := range models {
			m.model = filepath.Join(m.dir, fmt.Sprintf("model%d", n))
			for f := range files {
				m.write(fmt.Sprintf("f%d", f), strings.Repeat("content", 10*f))
			}
			id := fmt.Sprintf("m%d", n)
			m.checker.Targets = append(m.checker.Targets, check.Target{Model: artifact.Model{ID: id, Path: m.model}})
			m.checker.Hashing.Guards[id] = &manifest.Guard{}
		}
		l := &check.Live{Checker: m.checker, Small: check.DefaultSmall}
		if _, err := l.Run(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for b.Loop() {
			if _, err := l.Run(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*models*files), "µs/file")
	})
}
