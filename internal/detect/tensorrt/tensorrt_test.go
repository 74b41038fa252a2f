package tensorrt_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/tensorrt"
)

type sink struct{ hits []detect.Hit }

func (s *sink) Hit(h detect.Hit)                            { s.hits = append(s.hits, h) }
func (s *sink) Fact(string)                                 {}
func (s *sink) Nested(context.Context, detect.Member) error { return nil }

func elf(machine byte) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x03\x00" + string([]byte{machine, 0}) + strings.Repeat("\x00", 44)
}

func TestDetect(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	mz := "MZ" + zeros(6) + "\x04\x00" + zeros(50) + "\x80\x00\x00\x00" + zeros(200)
	tests := []struct {
		name, data string
		at         int64 // of host code, -1 for none
	}{
		{"plain", "ftrt" + zeros(100), -1},
		{"code_of_the_gpu", "ftrt" + zeros(28) + elf(190), -1},
		{"library", "ftrt" + zeros(28) + elf(62), 32},
		{"library_cut_off", "ftrt" + zeros(28) + "\x7fELF\x02", 32},
		{"across_two_blocks", "ftrt" + zeros(1<<20-6) + elf(183), 1<<20 - 2},
		{"in_the_second_block", "ftrt" + zeros(1<<20+100) + elf(183), 1<<20 + 104},
		{"windows", "ptrt" + zeros(12) + mz, 16},
		{"two_letters", "ptrt" + zeros(12) + "MZ" + zeros(100), -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sink{}
			in := detect.Input{Data: io.NewSectionReader(strings.NewReader(tt.data), 0, int64(len(tt.data)))}
			if err := tensorrt.New().Detect(t.Context(), in, s); err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.at < 0 && len(s.hits) == 1:
			case tt.at >= 0 && len(s.hits) == 2 && s.hits[1].Offset == tt.at && s.hits[1].Rule == "WW-TENSORRT-002":
			default:
				t.Errorf("hits are %+v", s.hits)
			}
		})
	}
}
