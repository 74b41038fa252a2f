package cli

import (
	"fmt"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// progress shows one line on a terminal and nothing anywhere else.
type progress struct {
	g     *globals
	shown bool
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

// hashing shows how far the reading of a model is.
func (p *progress) hashing(model string, m manifest.Progress) {
	percent := 100.0
	if m.TotalBytes > 0 {
		percent = 100 * float64(m.Bytes) / float64(m.TotalBytes)
	}
	p.line("%s: %3.0f %%  %s of %s", artifact.Quote(model), percent, bytesText(m.Bytes), bytesText(m.TotalBytes))
}
