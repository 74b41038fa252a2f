package cli

import (
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/manifest"
)

func TestHashingText(t *testing.T) {
	const gib = 1 << 30
	tests := []struct {
		name string
		done manifest.Progress
		took time.Duration
		want string
	}{
		{"too_early", manifest.Progress{Bytes: gib, TotalBytes: 4 * gib}, 100 * time.Millisecond, "m [======                  ]  25 %  1.0 GiB of 4.0 GiB"},
		{"rate_and_rest", manifest.Progress{Bytes: gib, TotalBytes: 4 * gib}, 2 * time.Second, "m [======                  ]  25 %  1.0 GiB of 4.0 GiB  512.0 MiB/s  6s left"},
		{"done", manifest.Progress{Bytes: 4 * gib, TotalBytes: 4 * gib}, 8 * time.Second, "m [========================] 100 %  4.0 GiB of 4.0 GiB  512.0 MiB/s  0s left"},
		{"grew_meanwhile", manifest.Progress{Bytes: 5 * gib, TotalBytes: 4 * gib}, 10 * time.Second, "m [========================] 100 %  5.0 GiB of 4.0 GiB  512.0 MiB/s  0s left"},
		{"empty", manifest.Progress{}, time.Second, "m [========================] 100 %  0 B of 0 B"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hashingText("m", tt.done, tt.took); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
