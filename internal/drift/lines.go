package drift

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ReadOutputs reads model outputs, one JSON object per line, and counts their
// classes. The class is predicted_class, or label where that is absent: a
// string, a number or a bool; 1, 1.0 and "1" are the same class. Empty lines
// are skipped. A line that is not understood counts as unreadable and reading
// goes on; the error is that of r.
func ReadOutputs(r io.Reader, lim Limits) (Sample, error) {
	lim = lim.filled()
	s := Sample{Counts: map[string]int{}}
	lines := lineReader{r: bufio.NewReaderSize(r, 64<<10), max: lim.LineBytes}
	for {
		line, long, err := lines.next()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("read outputs: line %d: %w", lines.n, err)
		}
		if long {
			s.unreadable(lines.n, fmt.Sprintf("longer than %d bytes", lim.LineBytes))
			continue
		}
		s.count(lines.n, line, lim)
	}
}

// count adds the output of one line.
func (s *Sample) count(n int, line []byte, lim Limits) {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return
	}
	class, err := classOf(line)
	switch {
	case err != nil:
		s.unreadable(n, err.Error())
	case len(class) > lim.ClassBytes:
		s.unreadable(n, fmt.Sprintf("class name of %d bytes, at most %d are allowed", len(class), lim.ClassBytes))
	case s.Counts[class] == 0 && len(s.Counts) >= lim.Classes:
		s.unreadable(n, fmt.Sprintf("more than %d classes", lim.Classes))
	default:
		s.Counts[class]++
	}
}

func (s *Sample) unreadable(line int, reason string) {
	if s.Unreadable == 0 {
		s.FirstLine, s.FirstReason = line, reason
	}
	s.Unreadable++
}

// lineReader reads lines of bounded length. What is beyond the bound is read
// and thrown away.
type lineReader struct {
	r   *bufio.Reader
	max int
	n   int // number of the line last returned, from 1
	buf []byte
}

// next returns a line without its end, valid until the next call, or whether
// it was too long. The error is io.EOF after the last line.
func (l *lineReader) next() (line []byte, long bool, err error) {
	l.buf, l.n = l.buf[:0], l.n+1
	for read := false; ; read = true {
		part, err := l.r.ReadSlice('\n')
		if room := l.max - len(l.buf); len(bytes.TrimSuffix(part, []byte("\n"))) > room {
			long = true
		} else if !long {
			l.buf = append(l.buf, part...)
		}
		switch {
		case err == nil, errors.Is(err, io.EOF) && (read || len(part) > 0):
			return bytes.TrimSuffix(l.buf, []byte("\n")), long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

var (
	errNoClass = errors.New("has neither predicted_class nor label")
	errNotJSON = errors.New("not JSON")
)

// notJSON hides the decoder's wording, which quotes the input, and lets
// trouble of the reader through.
func notJSON(err error) error {
	if _, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errNotJSON
	}
	return err
}

// classOf returns the class of one output. Two loaders would disagree about a
// key given twice and about broken UTF-8, so both are refused.
func classOf(line []byte) (string, error) {
	if !utf8.Valid(line) {
		return "", errors.New("not UTF-8")
	}
	values := map[string]json.RawMessage{}
	err := object(json.NewDecoder(bytes.NewReader(line)), func(key string, dec *json.Decoder) error {
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return notJSON(err)
		}
		if key == "predicted_class" || key == "label" {
			if _, twice := values[key]; twice {
				return fmt.Errorf("%s given twice", key)
			}
			values[key] = value
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	for _, key := range []string{"predicted_class", "label"} {
		if v, ok := values[key]; ok {
			return className(key, v)
		}
	}
	return "", errNoClass
}

// object reads one JSON object and nothing after it, calling field after each
// key.
func object(dec *json.Decoder, field func(key string, dec *json.Decoder) error) error {
	if t, err := dec.Token(); err != nil {
		return notJSON(err)
	} else if t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return notJSON(err)
		}
		key, ok := t.(string)
		if !ok {
			return errNotJSON
		}
		if err := field(key, dec); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something after the JSON object")
	}
	return nil
}

// className turns the value of a class field into a name.
func className(key string, value json.RawMessage) (string, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "", notJSON(err)
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		return numberName(string(v))
	default:
		return "", fmt.Errorf("%s is neither a string nor a number nor a bool", key)
	}
}

// numberName writes equal numbers alike: 1, 1.0 and 1e0 are one class. Whole
// numbers keep all their digits.
func numberName(s string) (string, error) {
	if !strings.ContainsAny(s, ".eE") && s != "-0" {
		return s, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return "", errors.New("class number out of range")
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return strconv.FormatInt(int64(f), 10), nil
	default:
		return strconv.FormatFloat(f, 'g', -1, 64), nil
	}
}
