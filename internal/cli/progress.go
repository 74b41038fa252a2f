package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// progress shows one line on a terminal and nothing anywhere else.
type progress struct {
	g     *globals
	shown bool
	// model is the one being read, began since when, bytes how far.
	model string
	began time.Time
	bytes int64
}

func newProgress(g *globals) *progress { return &progress{g: g} }

func (p *progress) line(format string, args ...any) {
	if !p.g.ErrTerminal || p.g.noProgress {
		return
	}
	p.shown = true
	_, _ = fmt.Fprintf(p.g.Stderr, "\r\x1b[K"+format, args...)
}

// done takes the line away again.
func (p *progress) done() {
	if p.shown {
		_, _ = fmt.Fprint(p.g.Stderr, "\r\x1b[K")
	}
}

// barWidth is how many characters the bar has.
const barWidth = 24

// hashing shows how far the reading of a model is, how fast, and how long it
// will take at that rate.
func (p *progress) hashing(model string, m manifest.Progress) {
	if model != p.model || m.Bytes < p.bytes {
		p.model, p.began = model, p.g.Now()
	}
	p.bytes = m.Bytes
	p.line("%s", hashingText(model, m, p.g.Now().Sub(p.began)))
}

// hashingText is one line: a bar, what is done, the rate and what is left.
func hashingText(model string, m manifest.Progress, took time.Duration) string {
	share := 1.0
	if m.TotalBytes > 0 {
		share = min(float64(m.Bytes)/float64(m.TotalBytes), 1)
	}
	full := int(share * barWidth)
	text := fmt.Sprintf("%s [%s%s] %3.0f %%  %s of %s", artifact.Quote(model),
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*share, bytesText(m.Bytes), bytesText(m.TotalBytes))
	if took < time.Second/2 || m.Bytes == 0 {
		return text // too early for a rate that means anything
	}
	rate := float64(m.Bytes) / took.Seconds()
	left := time.Duration(float64(max(m.TotalBytes-m.Bytes, 0)) / rate * float64(time.Second))
	return text + fmt.Sprintf("  %s/s  %s left", bytesText(int64(rate)), left.Round(time.Second))
}
