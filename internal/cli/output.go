package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/finding"
)

// json reports whether results are for programs.
func (g *globals) json() bool { return g.output == "json" }

// print writes the result: as one JSON document, or as text writes it.
func (g *globals) print(document any, text func(*printer)) error {
	if g.json() {
		enc := json.NewEncoder(g.Stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(document)
	}
	p := &printer{w: g.Stdout, color: g.OutTerminal && !g.noColor && g.Getenv("NO_COLOR") == ""}
	text(p)
	return p.err
}

// printer keeps the first error of many writes.
type printer struct {
	w     io.Writer
	color bool
	err   error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// severity returns the name of a severity, eight characters wide, coloured
// where that is wanted.
func (p *printer) severity(s finding.Severity) string {
	name := fmt.Sprintf("%-8s", s)
	switch {
	case p.color && s >= finding.High:
		return "\x1b[31m" + name + "\x1b[0m"
	case p.color && s == finding.Medium:
		return "\x1b[33m" + name + "\x1b[0m"
	default:
		return name
	}
}

// stamp writes a time as every text output does.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// bytes writes a size for people, with binary prefixes.
func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n), "KMGTPE"
	i := -1
	for value >= step && i < len(units)-1 {
		value /= step
		i++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[i])
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// short cuts a digest for tables.
func short(digest string) string {
	if i := strings.LastIndexByte(digest, ':'); i >= 0 {
		digest = digest[i+1:]
	}
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}

// printLine writes one document of a stream, on one line.
func (g *globals) printLine(document any) error {
	enc := json.NewEncoder(g.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(document)
}
