package hunt

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const escape = 0x1b

// sequences are the escape sequences of terminals: CSI, OSC, and the short
// ones.
var sequences = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[@-Z\\\\^_]")

// clean returns text as it may be shown: without escape sequences, control
// and format characters. A tab becomes a space.
func clean(text []byte) string {
	s := sequences.ReplaceAllLiteralString(strings.ToValidUTF8(string(text), string(utf8.RuneError)), "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == ' ' || unicode.IsPrint(r) || r == utf8.RuneError:
			return r
		}
		return -1
	}, s)
}

// Redact returns line as it may be shown: without control characters and with
// what looks like a secret masked.
func Redact(line string) string {
	s := clean([]byte(line))
	return masked(s, secrets(s), 0, len(s))
}

// show returns at most limit characters of a line around the place where
// before ends and after begins.
func show(before, after part, limit int) string {
	head := clean(before.text)
	text := head + clean(after.text)
	hide := secrets(text)
	// Where the line goes on beyond what is known of it, a secret may do so
	// too, and its key is not there to tell.
	if before.cut {
		hide = hide.with(0, firstSpace(text))
	}
	if after.cut {
		hide = hide.with(lastSpace(text), len(text))
	}
	from := window(text, len(head), -limit*2/5)
	from, _ = hide.outside(from)
	to := window(text, from, limit)
	_, to = hide.outside(to)
	return cut(masked(text, hide, from, to), limit)
}

func firstSpace(s string) int {
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return i
	}
	return len(s)
}

func lastSpace(s string) int { return strings.LastIndexByte(s, ' ') + 1 }

// window moves from at by n characters and stays in s.
func window(s string, at, n int) int {
	for ; n < 0 && at > 0; n++ {
		_, size := utf8.DecodeLastRuneInString(s[:at])
		at -= size
	}
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}

func cut(s string, limit int) string { return s[:window(s, 0, limit)] }

// layouts are the times that begin the lines of most logs.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006/01/02 15:04:05"}

var stamp = regexp.MustCompile(`^\[?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:\d\d)?)`)

// timeOf returns the time that the line begins with, or the zero time. Times
// without a zone are taken as UTC.
func timeOf(before, after part) time.Time {
	if before.cut {
		return time.Time{}
	}
	start := clean(append(before.text[:min(64, len(before.text)):min(64, len(before.text))], after.text[:min(64, len(after.text))]...))
	found := stamp.FindStringSubmatch(start)
	if found == nil {
		return time.Time{}
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, strings.Replace(found[1], ",", ".", 1)); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
