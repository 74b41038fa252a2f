package pyenv

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits bounds what is read of one metadata file. A zero field means its
// default.
type Limits struct {
	// HeaderBytes is how much is read to find the end of the headers, 1 MiB
	// by default. Old metadata have the package's description in a header.
	HeaderBytes int64
	// LineBytes is the longest line, 64 KiB by default.
	LineBytes int
}

// Metadata is what is read of a METADATA or PKG-INFO file.
type Metadata struct {
	Name    string
	Version string
}

// ReadMetadata reads Name and Version from the headers of r, which end at the
// first line that is empty or no header, as Python's e-mail parser has it.
// Where two readers could disagree (a header given twice or folded, a name
// that is no name) there is an error; the metadata then hold the first
// acceptable values, if any.
func ReadMetadata(r io.Reader, lim Limits) (Metadata, error) {
	most, longest := cmp.Or(lim.HeaderBytes, 1<<20), cmp.Or(lim.LineBytes, 64<<10)
	var used int64 // of what was read ahead
	lines := bufio.NewScanner(io.LimitReader(r, most))
	lines.Buffer(make([]byte, 0, min(longest, 4096)), longest)
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		n, line, err := splitLines(data, atEOF)
		used += int64(n)
		return n, line, err
	})
	h := headers{}
	for lines.Scan() && h.line(lines.Text()) {
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		h.trouble("a line longer than %d bytes", longest)
	case err != nil:
		return h.found, fmt.Errorf("read metadata: %w", err)
	case used >= most: // the last line may be a part of one
		h.trouble("headers longer than %d bytes", most)
	}
	if h.found.Name == "" {
		h.trouble("no Name")
	}
	if h.found.Version == "" {
		h.trouble("no Version")
	}
	return h.found, h.err
}

// headers collects the two headers line by line.
type headers struct {
	found Metadata
	seen  map[string]bool
	last  string // key of the header that a folded line goes on with
	err   error  // the first trouble
}

func (h *headers) trouble(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

// line reads one line and reports whether headers go on after it.
func (h *headers) line(s string) bool {
	if s != "" && (s[0] == ' ' || s[0] == '\t') && h.last != "" {
		if h.last == "name" || h.last == "version" {
			h.trouble("%s goes on over several lines", h.last)
		}
		return true
	}
	key, value, ok := strings.Cut(s, ":")
	if !ok || !headerKey(key) {
		return false
	}
	h.last = strings.ToLower(key)
	switch h.last {
	case "name":
		h.set(&h.found.Name, value, ValidName)
	case "version":
		h.set(&h.found.Version, value, validVersion)
	}
	return true
}

// set takes the first acceptable value of a header.
func (h *headers) set(to *string, value string, valid func(string) bool) {
	value = strings.Trim(value, " \t")
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	switch {
	case h.seen[h.last]:
		h.trouble("%s given twice", h.last)
	case !valid(value):
		h.trouble("%s %.80q is not acceptable", h.last, value)
	default:
		*to = value
	}
	h.seen[h.last] = true
}

// headerKey reports whether key may stand before the colon (RFC 5322:
// printable ASCII without spaces).
func headerKey(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// validVersion accepts more than PEP 440, because installed packages do: any
// printable ASCII without spaces.
func validVersion(version string) bool {
	return len(version) <= maxName && headerKey(version)
}

// splitLines is a bufio.SplitFunc for lines that end in \n, \r\n or \r, the
// ends that Python knows. With fewer, a header could hide behind a \r.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for i, c := range data {
		switch {
		case c == '\n':
			return i + 1, data[:i], nil
		case c == '\r' && i+1 < len(data) && data[i+1] == '\n':
			return i + 2, data[:i], nil
		case c == '\r' && (i+1 < len(data) || atEOF):
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
