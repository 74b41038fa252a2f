package json_test

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/json"
)

// log writes down what a walk tells.
type log struct{ lines []string }

func (l *log) Keep(key string) bool { return strings.HasPrefix(key, "k") }

func (l *log) Scalar(p json.Path, v json.Value) error {
	l.lines = append(l.lines, fmt.Sprintf("%s=%s@%d+%d", p, v.Text, v.Offset, v.Length))
	return nil
}

func (l *log) Closed(p json.Path, at int64, f json.Fields) error {
	l.lines = append(l.lines, fmt.Sprintf("close %s@%d kept %d %s", p, at, len(f), f.Text("k")))
	return nil
}

func (l *log) Twice(p json.Path, at int64) error {
	l.lines = append(l.lines, fmt.Sprintf("twice %s@%d", p, at))
	return nil
}

func TestWalk(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		want []string
	}{
		"scalar":      {` 12 `, []string{"=12@1+2"}},
		"nested":      {`{"a":[1,{"k":"x"}]}`, []string{"a[0]=1@6+1", "a[1].k=x@13+3", "close a[1]@8 kept 1 x", "close @0 kept 0 "}},
		"escapes":     {`"\u0041\n\ud83d\ude00\ud83d"`, []string{"=A\n😀\ufffd@0+28"}},
		"twice":       {`{"k":1,"k":"b"}`, []string{"k=1@5+1", "twice k@7", "k=b@11+3", "close @0 kept 1 b"}},
		"python":      {`[NaN,-Infinity]`, []string{"[0]=NaN@1+3", "[1]=-Infinity@5+9"}},
		"empty":       {"\xef\xbb\xbf{}", []string{"close @3 kept 0 "}},
		"inner_empty": {`[[],{}]`, []string{"close [1]@4 kept 0 "}},
	} {
		t.Run(name, func(t *testing.T) {
			var l log
			if err := json.Walk(strings.NewReader(row.in), json.Limits{}, &l); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, l.lines); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		err  error
		text string
	}{
		"empty":           {"", json.ErrMalformed, "no value"},
		"cut_string":      {`{"a`, json.ErrMalformed, "ends in a string"},
		"cut":             {`{"a":`, json.ErrMalformed, "ends early"},
		"comma":           {`[1,]`, json.ErrMalformed, "where a value"},
		"trailing":        {`{} x`, json.ErrMalformed, "more behind"},
		"zero":            {`01`, json.ErrMalformed, "no value"},
		"comment":         {`/* */ 1`, json.ErrMalformed, "where a value"},
		"key":             {`{1:2}`, json.ErrMalformed, "where a key"},
		"control":         {"\"a\x01\"", json.ErrMalformed, "control character"},
		"bad_utf8":        {"\"\xff\"", json.ErrMalformed, "not UTF-8"},
		"escape":          {`"\x41"`, json.ErrMalformed, "unknown escape"},
		"deep":            {strings.Repeat("[", 11), json.ErrLimit, "deeper than 10"},
		"long":            {`"` + strings.Repeat("a", 301) + `"`, json.ErrLimit, "more than 300 bytes"},
		"many":            {`{"a":1,"b":1,"c":1,"d":1}`, json.ErrLimit, "more than 3 keys"},
		"wrong_bracket":   {`[1}`, json.ErrMalformed, "where a comma"},
		"unquoted":        {`{a:1}`, json.ErrMalformed, "where a key"},
		"kept_too_much":   {strings.Repeat(`{"k":"`+strings.Repeat("a", 200)+`","a":`, 2), json.ErrLimit, "fields that are kept"},
		"template_syntax": {`{{ a }}`, json.ErrMalformed, "where a key"},
	} {
		t.Run(name, func(t *testing.T) {
			err := json.Walk(strings.NewReader(row.in), json.Limits{Depth: 10, String: 300, Keys: 3, Kept: 400}, &log{})
			if !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLines(t *testing.T) {
	var l log
	if err := json.Walk(strings.NewReader("{}\n[2]\n"), json.Limits{Lines: true}, &l); err != nil || len(l.lines) != 2 {
		t.Errorf("%v %q", err, l.lines)
	}
}

func TestMentions(t *testing.T) {
	for text, want := range map[string]bool{
		`{"class_name": 1}`: true, `{"class\u005fname": 1}`: true, `{"cl\u0061ss_name": 1}`: true, `{"name": "\u0120"}`: false, "": false,
		strings.Repeat(" ", 64<<10-5) + `"class_name"`: true, strings.Repeat(" ", 128<<10-70) + `"class_name"`: true,
	} {
		got, err := json.Mentions(iotest.OneByteReader(strings.NewReader(text[max(0, len(text)-200):])), "class_name")
		if err != nil || got != want {
			t.Errorf("%.40q: %t %v", strings.TrimSpace(text), got, err)
		}
		if got, err = json.Mentions(strings.NewReader(text), "class_name"); err != nil || got != want {
			t.Errorf("%.40q: %t %v", strings.TrimSpace(text), got, err)
		}
	}
}

// FuzzWalk promises: what the standard library calls valid is read to its end,
// and what is read and has no NaN is valid for it, but for invalid UTF-8,
// which is refused here; places lie in the text.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"x\u00e9",null,true]}`, `[[[`, `{"k":1,"k":2}`, `NaN`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := places{t: t, size: int64(len(data))}
		err := json.Walk(strings.NewReader(string(data)), json.Limits{Depth: 500}, &p)
		plain := strings.TrimPrefix(string(data), "\xef\xbb\xbf")
		valid := stdjson.Valid([]byte(plain))
		if valid && err != nil && !strings.Contains(err.Error(), "not UTF-8") && !errors.Is(err, json.ErrLimit) {
			t.Fatalf("valid and refused: %v", err)
		}
		if !valid && err == nil && !p.special {
			t.Fatal("read, and not valid")
		}
	})
}

type places struct {
	t       *testing.T
	size    int64
	special bool
}

func (p *places) Keep(string) bool                           { return true }
func (p *places) Closed(json.Path, int64, json.Fields) error { return nil }
func (p *places) Twice(json.Path, int64) error               { return nil }
func (p *places) Scalar(_ json.Path, v json.Value) error {
	if v.Offset < 0 || v.Length <= 0 || v.Offset+v.Length > p.size {
		p.t.Fatalf("%+v in %d bytes", v, p.size)
	}
	p.special = p.special || v.Kind == json.Number && strings.ContainsAny(string(v.Text), "NI")
	return nil
}
