// Package text accounts for plain text: README files, version markers, text
// models. Text runs nothing; what makes it dangerous is who interprets it, and
// formats with an interpreter of their own (source, templates, YAML) have
// their own detectors. It says nothing about what the text means.
package text

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Detector accounts for plain text.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

const ruleBinary = "WW-TEXT-001"

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	return detect.Info{
		Name: "text", Formats: []artifact.Format{artifact.Text}, Covers: []artifact.Format{artifact.Text},
		Rules: []detect.Rule{{
			ID: ruleBinary, Title: "text with something else in it", Severity: finding.Medium, Verdict: finding.Inconclusive,
			Techniques: []string{"AML.T0076"},
			About:      "A file that begins as text goes on with bytes that are no text. What they are is not known.",
			Do:         "Look at the bytes behind the offset. Something may be hidden behind a text, or the file is damaged.",
			Misses:     "Anything that is spelt in letters, such as base64.",
		}},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	r := bufio.NewReaderSize(in.Data, 64<<10)
	for at := int64(0); ; {
		c, n, err := r.ReadRune()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read text: %w", err)
		case c == utf8.RuneError && n == 1, c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f':
			out.Hit(detect.Hit{Rule: ruleBinary, Offset: at, Summary: "the text goes on with bytes that are no text"})
			return ctx.Err()
		}
		at += int64(n)
	}
}
