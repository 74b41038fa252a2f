package manifest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weightwarden/weightwarden/internal/manifest"
)

func TestRate(t *testing.T) {
	tr := tree{t, t.TempDir()}
	for _, name := range []string{"a", "b", "c", "d"} {
		tr.write(name, strings.Repeat("w", 1<<20))
	}
	tests := []struct {
		name        string
		workers     int
		rate        int64
		least, most time.Duration
	}{
		{"no_limit", 2, 0, 0, 0},
		{"one_worker", 1, 1 << 20, 3800 * time.Millisecond, 4 * time.Second},
		{"the_limit_is_that_of_all_workers", 4, 1 << 20, 3800 * time.Millisecond, 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, blocks := tr.taken()
			synctest.Test(t, func(t *testing.T) {
				o := manifest.Options{Workers: tt.workers, Rate: tt.rate}
				start := time.Now()
				if _, err := manifest.Take(t.Context(), tr.dir, o); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < tt.least || took > tt.most {
					t.Errorf("Take took %v, want %v to %v", took, tt.least, tt.most)
				}
				start = time.Now()
				if _, err := manifest.Recheck(t.Context(), tr.dir, base, blocks, o); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < tt.least || took > tt.most {
					t.Errorf("Recheck took %v, want %v to %v", took, tt.least, tt.most)
				}
			})
		})
	}
}
