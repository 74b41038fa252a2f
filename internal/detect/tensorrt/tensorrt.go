// Package tensorrt looks at TensorRT plans. A plan is a program for one GPU in
// a form that is not published, so that none is ever clean; what can be told is
// whether libraries for the host's processor are embedded, which run when the
// plan is loaded. Code for the GPU is what plans consist of.
package tensorrt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Detector looks at TensorRT plans.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	rulePlan   = "WW-TENSORRT-001"
	ruleNative = "WW-TENSORRT-002"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	return detect.Info{
		Name: "tensorrt", Formats: []artifact.Format{artifact.TensorRT}, Covers: []artifact.Format{artifact.TensorRT},
		Rules: []detect.Rule{
			{
				ID: rulePlan, Title: "a TensorRT plan", Severity: finding.Medium, Verdict: finding.Inconclusive, Techniques: []string{"AML.T0011.000"},
				About:  "A plan holds programs for one model of GPU in a form that is not published. Nobody can say by looking what it does.",
				Do:     "Build the plan anew from the model it was made of, where you trust the builder.",
				Misses: "Everything in the plan but libraries for the host.", Cases: []int{78},
			},
			{
				ID: ruleNative, Title: "host code in a TensorRT plan", Severity: finding.Critical, Verdict: finding.Malicious, Techniques: []string{"AML.T0018.002"},
				About:  "The plan embeds a library or program for the host's processor, as plans with embedded plugins do. It is loaded and runs when the plan is deserialized.",
				Do:     "Do not load the plan. Find out which plugin it wants, and build it anew with plugins from a source that is verified.",
				Misses: "Libraries that are compressed or encrypted.", Cases: []int{78},
			},
		},
	}
}

// cuda is the machine for which ELF files hold code of a GPU.
const cuda = 190

const (
	block   = 1 << 20
	overlap = 64
)

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	out.Hit(detect.Hit{Rule: rulePlan, Offset: 0, Summary: "a TensorRT plan is a program in a form that is not published"})
	buf, size := make([]byte, block+overlap), in.Data.Size()
	found := 0
	for at := int64(0); at < size; at += block {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := in.Data.ReadAt(buf[:min(size-at, int64(len(buf)))], at)
		if err != nil && (!errors.Is(err, io.EOF) || n == 0) {
			return fmt.Errorf("read plan: %w", err)
		}
		found += native(buf[:n], at, out)
		if found > 20 {
			return nil
		}
	}
	return nil
}

// native reports host code that begins in the first bytes of a window.
func native(window []byte, at int64, out detect.Sink) (found int) {
	hit := func(i int, what string) {
		found++
		out.Hit(detect.Hit{
			Rule: ruleNative, Offset: at + int64(i), Evidence: window[i:min(i+32, len(window))],
			Summary: fmt.Sprintf("%s for the host is embedded in the plan", what),
		})
	}
	for i := 0; i < min(len(window), block); i++ {
		next := bytes.IndexByte(window[i:], 0x7f)
		if next < 0 || i+next >= block {
			break
		}
		i += next
		if rest := window[i:]; bytes.HasPrefix(rest, []byte("\x7fELF")) && (len(rest) < 20 || machine(rest) != cuda) {
			hit(i, "an ELF library or program")
		}
	}
	for i := 0; i < min(len(window), block); i++ {
		next := bytes.Index(window[i:], []byte("MZ"))
		if next < 0 || i+next >= block {
			break
		}
		i += next
		if rest := window[i:]; len(rest) >= 64 && header(rest) {
			hit(i, "a Windows library or program")
		}
	}
	return found
}

func machine(elf []byte) uint16 {
	if elf[5] == 2 {
		return binary.BigEndian.Uint16(elf[18:])
	}
	return binary.LittleEndian.Uint16(elf[18:])
}

// header reports whether the stub of a Windows program has the form that
// linkers give it: where the real header is, and a size that is not zero.
func header(mz []byte) bool {
	at := binary.LittleEndian.Uint32(mz[60:])
	return at >= 64 && at <= 4096 && binary.LittleEndian.Uint16(mz[8:]) == 4
}
