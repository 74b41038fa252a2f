package hunt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// lookBehind and lookAhead are the bytes of a line kept around a match that
// is found in a piece of a long line: secrets are recognised by what stands
// before and behind them.
const (
	lookBehind = 2 << 10
	lookAhead  = 1 << 10
)

// Scan searches the log r, which is called name in the result. Matches come
// in the order of the file. An error is that of r or of ctx; what was found
// before it is in the result all the same, with the file's Problem set.
func Scan(ctx context.Context, name string, r io.Reader, lim Limits) (Result, error) {
	lim = lim.filled()
	s := &scanner{
		lim: lim, name: name, match: newMatcher(rules), result: newResult(), buf: make([]byte, lim.Buffer),
		lastLine: make([]int, len(rules)), count: make([]int, len(rules)),
	}
	err := s.run(ctx, r)
	file := File{Path: name, Lines: s.lines(), Bytes: s.base + int64(s.done)}
	if err != nil {
		s.result.problem(file, err.Error())
	} else {
		s.result.Files = append(s.result.Files, file)
	}
	s.result.sort()
	return s.result, err
}

// scanner holds one buffer of a log. buf[:filled] starts at base in the file;
// buf[:done] has been searched and stays for what stands before a match.
type scanner struct {
	lim    Limits
	name   string
	match  *matcher
	result Result

	buf          []byte
	base         int64
	done, filled int
	// counted is how far line breaks have been counted in buf; breaks is
	// their number up to there.
	counted, breaks int
	unended         bool // the log does not end with a line break
	// lastLine and count are, per rule, the last line that matched and the
	// number of lines that did.
	lastLine, count []int
}

func (s *scanner) run(ctx context.Context, r io.Reader) error {
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, s.buf[s.filled:])
		s.filled += n
		if first {
			if what := notText(s.buf[:s.filled]); what != "" {
				return fmt.Errorf("%w: %s", ErrNotText, what)
			}
		}
		last := err != nil
		s.search(last)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case last:
			return fmt.Errorf("read log: %w", err)
		}
		s.slide()
	}
}

// search looks through what was not searched yet, up to the last line break,
// or, in a line longer than the buffer, up to where enough of it is left to
// be searched again together with what follows.
func (s *scanner) search(last bool) {
	to := s.filled
	if !last {
		if end := bytes.LastIndexByte(s.buf[s.done:s.filled], '\n'); end >= 0 {
			to = s.done + end + 1
		} else {
			to = max(s.done, s.filled-lookAhead)
		}
	}
	text := s.buf[:s.filled]
	s.match.find(text, s.done, to, func(rule, at int) { s.hit(text, rule, at) })
	s.countTo(to)
	s.done = to
	s.unended = s.filled > 0 && s.buf[s.filled-1] != '\n'
}

// slide makes room: what was searched goes, but for the look behind.
func (s *scanner) slide() {
	keep := max(0, s.done-lookBehind)
	copy(s.buf, s.buf[keep:s.filled])
	s.base += int64(keep)
	s.done, s.filled, s.counted = s.done-keep, s.filled-keep, s.counted-keep
}

// countTo counts line breaks up to the place to.
func (s *scanner) countTo(to int) {
	if to > s.counted {
		s.breaks += bytes.Count(s.buf[s.counted:to], []byte{'\n'})
		s.counted = to
	}
}

func (s *scanner) lines() int {
	if s.unended {
		return s.breaks + 1
	}
	return s.breaks
}

// hit records a match unless the rule has matched in this line before.
// Matches of different rules can come a few bytes out of order, so the line
// is counted from where counting stands, in either direction.
func (s *scanner) hit(text []byte, rule, at int) {
	line := 1 + s.breaksAt(at)
	if s.lastLine[rule] == line {
		return
	}
	s.lastLine[rule] = line
	if s.count[rule]++; s.count[rule] > s.lim.Hits {
		s.result.Suppressed++
		return
	}
	before, after := around(text, at, s.base > 0)
	shown := show(before, after, s.lim.Text)
	s.result.Findings = append(s.result.Findings, Hit{
		Rule: rules[rule].ID, Title: rules[rule].Title, Severity: rules[rule].Severity,
		File: s.name, Line: line, Offset: s.base + int64(at), Time: timeOf(before, after), Text: shown,
	})
}

func (s *scanner) breaksAt(at int) int {
	if at < s.counted {
		return s.breaks - bytes.Count(s.buf[at:s.counted], []byte{'\n'})
	}
	s.countTo(at)
	return s.breaks
}

// part is one side of a line around a match; cut says that the line goes on
// beyond it.
type part struct {
	text []byte
	cut  bool
}

// around returns what the line at the place at holds before and from there.
// More says that there is something before text.
func around(text []byte, at int, more bool) (before, after part) {
	from, to := max(0, at-lookBehind), min(len(text), at+lookAhead)
	before, after = part{text[from:at], from > 0 || more}, part{text[at:to], to < len(text)}
	if i := bytes.LastIndexByte(before.text, '\n'); i >= 0 {
		before = part{before.text[i+1:], false}
	}
	if i := bytes.IndexByte(after.text, '\n'); i >= 0 {
		after = part{after.text[:i], false}
	}
	return before, after
}

// ErrNotText means that a log is compressed or encoded in a way that a search
// for text would see nothing in.
var ErrNotText = errors.New("not searched")

var magics = []struct{ start, what string }{
	{"\x1f\x8b", "compressed with gzip"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd"},
	{"BZh", "compressed with bzip2"},
	{"\xfd7zXZ\x00", "compressed with xz"},
	{"PK\x03\x04", "a zip archive"},
	{"\xff\xfe", "encoded in UTF-16"},
	{"\xfe\xff", "encoded in UTF-16"},
}

func notText(start []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(start, []byte(m.start)) {
			return m.what
		}
	}
	return ""
}

// ScanFiles searches the logs at paths, one after the other. A log that is
// missing, unreadable or no plain text is a finding of the rule [NotSearched]
// and has its File.Problem set; it is never reported as searched.
func ScanFiles(ctx context.Context, paths []string, lim Limits) Result {
	all := newResult()
	for _, p := range paths {
		all.add(scanFile(ctx, p, lim))
	}
	return all
}

func scanFile(ctx context.Context, path string, lim Limits) Result {
	// A pipe in the place of a log must not hold up the search.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return failed(path, err)
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return failed(path, err)
	case !info.Mode().IsRegular():
		return failed(path, errors.New("not a regular file"))
	}
	result, _ := Scan(ctx, path, f, lim) // the error is in the result
	return result
}

func failed(path string, err error) Result {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	reason := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		reason = "the log does not exist"
	}
	result := newResult()
	result.problem(File{Path: path}, reason)
	return result
}
