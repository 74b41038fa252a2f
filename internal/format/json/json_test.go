package json_test

import (
	stdjson "encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/json"
)

func tokens(text string, lim json.Limits) (out []json.Token, err error) {
	r := json.New(strings.NewReader(text), 0, lim)
	for {
		t, err := r.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, json.ErrMalformed) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, t)
	}
}

func TestNext(t *testing.T) {
	got, err := tokens(` {"a\u00e9\n":[1,-2.5e+3 ,true],"a":{},"b":null,"c":"\ud83d\ude00"} `, json.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []json.Token{
		{Kind: json.Object, Text: "{", Offset: 1},
		{Kind: json.Key, Text: "aé\n", Offset: 2}, {Kind: json.Array, Text: "[", Offset: 14}, {Kind: json.Number, Text: "1", Offset: 15},
		{Kind: json.Number, Text: "-2.5e+3", Offset: 17}, {Kind: json.Bool, Text: "true", Offset: 26}, {Kind: json.ArrayEnd, Text: "]", Offset: 30},
		{Kind: json.Key, Text: "a", Offset: 32}, {Kind: json.Object, Text: "{", Offset: 36}, {Kind: json.ObjectEnd, Text: "}", Offset: 37},
		{Kind: json.Key, Text: "b", Offset: 39}, {Kind: json.Null, Text: "null", Offset: 43},
		{Kind: json.Key, Text: "c", Offset: 48}, {Kind: json.String, Text: "😀", Offset: 52},
		{Kind: json.ObjectEnd, Text: "}", Offset: 66},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNextRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		err      error
		text     string
	}{
		{"nothing", "", json.ErrMalformed, "ends at 0"},
		{"ends_early", `{"a":`, json.ErrMalformed, "ends at 5"},
		{"goes_on", `{} {}`, json.ErrMalformed, "behind the end at 3"},
		{"wrong_bracket", `[}`, json.ErrMalformed, "no comma or end"},
		{"no_comma", `[1 2]`, json.ErrMalformed, "no comma or end at 3"},
		{"comma_at_the_end", `[1,]`, json.ErrMalformed, "no value at 3"},
		{"comma_behind_a_member", `{"a":1,}`, json.ErrMalformed, "no key at 7"},
		{"no_colon", `{"a" 1}`, json.ErrMalformed, "no colon"},
		{"bare_key", `{a:1}`, json.ErrMalformed, "no key"},
		{"leading_zero", `01`, json.ErrMalformed, "no value"},
		{"nan", `[NaN]`, json.ErrMalformed, "no value at 1"},
		{"hex", `0x10`, json.ErrMalformed, "no value"},
		{"latin_1", "\"\xe9\"", json.ErrMalformed, "not UTF-8"},
		{"line_break", "\"a\nb\"", json.ErrMalformed, "control character"},
		{"half_a_pair", `"\ud800"`, json.ErrMalformed, "surrogate"},
		{"two_first_halves", `"\ud800\ud800"`, json.ErrMalformed, "surrogate"},
		{"unknown_escape", `"\x41"`, json.ErrMalformed, "unknown escape"},
		{"short_escape", `"\u00`, json.ErrMalformed, "without end"},
		{"deep", strings.Repeat("[", 6), json.ErrLimit, "deeper than 5"},
		{"long_string", `"` + strings.Repeat("x", 41), json.ErrLimit, "more than 40 bytes"},
		{"long_number", strings.Repeat("1", 41), json.ErrLimit, "more than 40 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tokens(tt.in, json.Limits{Depth: 5, String: 40})
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
}

func TestSkip(t *testing.T) {
	r := json.New(strings.NewReader(`{"a":{"x":[1,{}]},"b":[2],"c":3}`), 0, json.Limits{})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	err := r.Members(func(key json.Token) error {
		keys = append(keys, key.Text)
		v, err := r.Next()
		if err != nil {
			return err
		}
		return r.Skip(v)
	})
	if err := errors.Join(err, r.End()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, keys); d != "" {
		t.Error(d)
	}
}

// FuzzNext promises: what is accepted is JSON for the standard library too,
// and what that refuses is refused; offsets grow.
func FuzzNext(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,true,null,"\ud83d\ude00"]}`, `[[[]]]`, `"\u0000"`, `-0`, `1.`, "\xff", `{"a":1,"a":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := tokens(text, json.Limits{})
		if err == nil != stdjson.Valid([]byte(text)) {
			// The standard library lets bytes that are not UTF-8, and halves of
			// pairs, pass.
			if err == nil || errors.Is(err, json.ErrMalformed) && utf8.ValidString(text) && !strings.Contains(err.Error(), "surrogate") {
				t.Fatalf("%v", err)
			}
		}
		last := int64(-1)
		for _, tok := range got {
			if tok.Offset <= last || tok.Offset >= int64(len(text)) || !utf8.ValidString(tok.Text) {
				t.Fatalf("%+v behind %d", tok, last)
			}
			last = tok.Offset
		}
	})
}
