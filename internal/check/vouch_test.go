package check_test

import (
	"context"
	"os"
	"testing"

	"github.com/weightwarden/weightwarden/internal/check"
)

// What is opened is the file of the baseline, or not; and where it takes too
// long to say, the next one who asks is told.
func TestVouch(t *testing.T) {
	m := newMatrix(t)
	m.plain()
	m.adopt()
	l := m.live(1024)
	l.Vouches = true
	vouch := func(ctx context.Context, path string) (check.Vouching, string) {
		f, err := os.Open(m.path(path))
		m.must(err)
		defer f.Close()
		return l.Vouch(ctx, "m", path, f)
	}
	if v, why := vouch(t.Context(), "w.bin"); v != check.Unknown || why == "" {
		t.Errorf("before anything was looked at: %v, %s", v, why)
	}
	m.cycle(l)
	ended, end := context.WithCancel(t.Context())
	end()
	tests := []struct {
		name string
		do   func()
		path string
		want check.Vouching
	}{
		{"as_it_was", func() {}, "w.bin", check.Good},
		{"small", func() {}, "onnx/model.onnx", check.Good},
		{"new", func() { m.write("evil.py", "x") }, "evil.py", check.Bad},
		{"another_size", func() { m.must(os.Truncate(m.path("config.json"), 1)) }, "config.json", check.Bad},
		{"one_byte", func() { m.flip("w.bin", 7) }, "w.bin", check.Bad},
		{"forged_times", func() { m.keepTimes("v.bin", func() { m.flip("v.bin", 7) }) }, "v.bin", check.Bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.do()
			if tt.name == "one_byte" {
				if v, _ := vouch(ended, tt.path); v == check.Good {
					t.Errorf("in no time it was found to be good")
				}
			}
			if v, why := vouch(t.Context(), tt.path); v != tt.want || (v == check.Good) != (why == "") {
				t.Errorf("%v, %s", v, why)
			}
			if v, _ := vouch(ended, tt.path); v != tt.want {
				t.Errorf("known, and asked again in no time: %v", v)
			}
		})
	}
}
