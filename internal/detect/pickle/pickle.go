// Package pickle judges pickle streams by what is allowed: names that are
// known to only build data, used as data is used. Everything else is reported,
// and a list of names that are known to be dangerous says how bad it is. The
// streams are run on the symbolic machine of format/pickle; nothing is loaded.
//
// It accounts for a file of any number of pickles, for joblib's arrays between
// opcodes, and for legacy torch files with their storages. It does not look
// into the numbers of those, and it does not know what allowed classes do with
// the data they are given.
package pickle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/pickle"
)

// Detector judges pickles.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	formats := []artifact.Format{artifact.Pickle, artifact.TorchLegacy}
	return detect.Info{Name: "pickle", Formats: formats, Covers: formats, Rules: rules()}
}

// maxStreams is how many pickles one after the other are read.
const maxStreams = 100_000

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	j := &examiner{ctx: ctx, in: in, out: out.Hit, fact: out.Fact}
	if in.Format == artifact.TorchLegacy {
		return j.legacy()
	}
	size := in.Data.Size()
	for at, n := int64(0), 0; at < size; n++ {
		if n >= maxStreams {
			out.Hit(detect.Hit{Rule: ruleLimit, Offset: at, Summary: fmt.Sprintf("more than %d pickles one after the other", maxStreams)})
			return nil
		}
		end, more, err := j.one(at, n)
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		at = end
	}
	return nil
}

// one judges the n-th pickle of a file, which begins at at. It says where it
// ends and whether to look for another one there.
func (j *examiner) one(at int64, n int) (end int64, more bool, err error) {
	size := j.in.Data.Size()
	if n > 0 && !j.follows(at) {
		j.tail(at, size)
		return at, false, nil
	}
	s := j.stream()
	r, err := format.Run(j.in.Data, at, size, format.Limits{}, s.event)
	if err != nil {
		return at, false, err
	}
	if n == 0 && r.Stopped {
		j.restricted(s.plain && safeOps(&r))
	}
	switch {
	case r.Stopped:
		return r.End, true, nil
	case errors.Is(r.Err, format.ErrLimit):
		j.hit(detect.Hit{Rule: ruleLimit, Offset: r.End, Summary: r.Err.Error()})
	default:
		h := detect.Hit{Rule: ruleBroken, Offset: r.End, Summary: r.Err.Error()}
		if s.active || n > 0 {
			h.Verdict, h.Severity = finding.Suspicious, finding.High
		}
		j.hit(h)
	}
	return r.End, false, nil
}

// restricted remarks whether torch's restricted unpickler takes the first
// pickle. Where it does not, a loader that reads the file all the same has
// fallen back to the full one.
func (j *examiner) restricted(takes bool) {
	switch {
	case takes:
		j.fact("its first pickle would load with weights_only")
	case slices.Contains([]string{".pt", ".pth", ".ckpt", ".bin"}, path.Ext(j.in.Name)), path.Base(j.in.Name) == "data.pkl":
		j.fact("weights_only refuses it: a loader that reads it all the same has fallen back to the full unpickler")
	}
}

// follows reports whether another pickle begins at at: one that gets to its
// end, or to something worth reporting.
func (j *examiner) follows(at int64) bool {
	worth := errors.New("worth reading")
	r, err := format.Run(j.in.Data, at, j.in.Data.Size(), format.Limits{}, func(m *format.Machine, e *format.Event) error {
		switch e.Kind {
		case format.Import:
			if plausible(m.Global(e.Callee.GlobalID())) {
				return worth
			}
		case format.Call, format.Computed, format.Build:
			return worth
		default:
		}
		return nil
	})
	return errors.Is(err, worth) || err == nil && r.Stopped && r.Ops > 1
}

// plausible reports whether a module and a name could be ones of Python.
func plausible(n format.Name) bool {
	for _, s := range []string{n.Module, n.Name} {
		if s == "" || len(s) > 500 {
			return false
		}
		for _, c := range s {
			if c < 0x80 && c != '.' && c != '_' && c != '-' && c != '<' && c != '>' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}

// tail reports what stands behind the last pickle.
func (j *examiner) tail(at, size int64) {
	sample := make([]byte, min(size-at, 4096))
	n, _ := j.in.Data.ReadAt(sample, at)
	sample = sample[:n]
	if s := string(sample); s == "\n" || s == "\r\n" {
		return // an editor's last line end
	}
	j.hit(detect.Hit{
		Rule: ruleTail, Offset: at, Length: size - at, Evidence: sample,
		Summary: fmt.Sprintf("%d bytes behind the last pickle, %.1f bits of entropy per byte", size-at, entropy(sample)),
	})
}

func entropy(b []byte) (bits float64) {
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(b))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// safeOps reports whether torch's restricted unpickler knows all opcodes.
func safeOps(r *format.Result) bool {
	const known = "\x80cRb\x81aesu(t)\x85\x86\x87N\x88\x89]}\x8fJKMGXUQhjqr\x8a."
	for code, used := range r.Used {
		if used && !containsByte(known, byte(code)) {
			return false
		}
	}
	return true
}

func containsByte(s string, c byte) bool {
	for i := range len(s) {
		if s[i] == c {
			return true
		}
	}
	return false
}
