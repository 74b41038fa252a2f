package jsontoken_test

import (
	stdjson "encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/jsontoken"
)

func tokens(text string, lim jsontoken.Limits) (out []jsontoken.Token, err error) {
	r := jsontoken.New(strings.NewReader(text), 0, lim)
	for {
		t, err := r.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, jsontoken.ErrMalformed) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, t)
	}
}

func TestNext(t *testing.T) {
	got, err := tokens(` {"a\u00e9\n":[1,-2.5e+3 ,true],"a":{},"b":null,"c":"\ud83d\ude00"} `, jsontoken.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []jsontoken.Token{
		{Kind: jsontoken.Object, Text: "{", Offset: 1},
		{Kind: jsontoken.Key, Text: "aé\n", Offset: 2},
		{Kind: jsontoken.Array, Text: "[", Offset: 14},
		{Kind: jsontoken.Number, Text: "1", Offset: 15},
		{Kind: jsontoken.Number, Text: "-2.5e+3", Offset: 17},
		{Kind: jsontoken.Bool, Text: "true", Offset: 26},
		{Kind: jsontoken.ArrayEnd, Text: "]", Offset: 30},
		{Kind: jsontoken.Key, Text: "a", Offset: 32},
		{Kind: jsontoken.Object, Text: "{", Offset: 36},
		{Kind: jsontoken.ObjectEnd, Text: "}", Offset: 37},
		{Kind: jsontoken.Key, Text: "b", Offset: 39},
		{Kind: jsontoken.Null, Text: "null", Offset: 43},
		{Kind: jsontoken.Key, Text: "c", Offset: 48},
		{Kind: jsontoken.String, Text: "😀", Offset: 52},
		{Kind: jsontoken.ObjectEnd, Text: "}", Offset: 66},
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
		{"nothing", "", jsontoken.ErrMalformed, "ends at 0"},
		{"ends_early", `{"a":`, jsontoken.ErrMalformed, "ends at 5"},
		{"goes_on", `{} {}`, jsontoken.ErrMalformed, "behind the end at 3"},
		{"wrong_bracket", `[}`, jsontoken.ErrMalformed, "no comma or end"},
		{"no_comma", `[1 2]`, jsontoken.ErrMalformed, "no comma or end at 3"},
		{"comma_at_the_end", `[1,]`, jsontoken.ErrMalformed, "no value at 3"},
		{"comma_behind_a_member", `{"a":1,}`, jsontoken.ErrMalformed, "no key at 7"},
		{"no_colon", `{"a" 1}`, jsontoken.ErrMalformed, "no colon"},
		{"bare_key", `{a:1}`, jsontoken.ErrMalformed, "no key"},
		{"leading_zero", `01`, jsontoken.ErrMalformed, "no value"},
		{"nan", `[NaN]`, jsontoken.ErrMalformed, "no value at 1"},
		{"hex", `0x10`, jsontoken.ErrMalformed, "no value"},
		{"latin_1", "\"\xe9\"", jsontoken.ErrMalformed, "not UTF-8"},
		{"line_break", "\"a\nb\"", jsontoken.ErrMalformed, "control character"},
		{"half_a_pair", `"\ud800"`, jsontoken.ErrMalformed, "surrogate"},
		{"two_first_halves", `"\ud800\ud800"`, jsontoken.ErrMalformed, "surrogate"},
		{"unknown_escape", `"\x41"`, jsontoken.ErrMalformed, "unknown escape"},
		{"short_escape", `"\u00`, jsontoken.ErrMalformed, "without end"},
		{"deep", strings.Repeat("[", 6), jsontoken.ErrLimit, "deeper than 5"},
		{"long_string", `"` + strings.Repeat("x", 41), jsontoken.ErrLimit, "more than 40 bytes"},
		{"long_number", strings.Repeat("1", 41), jsontoken.ErrLimit, "more than 40 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tokens(tt.in, jsontoken.Limits{Depth: 5, String: 40})
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
}

func TestSkip(t *testing.T) {
	r := jsontoken.New(strings.NewReader(`{"a":{"x":[1,{}]},"b":[2],"c":3}`), 0, jsontoken.Limits{})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	err := r.Members(func(key jsontoken.Token) error {
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
		got, err := tokens(text, jsontoken.Limits{})
		if err == nil != stdjson.Valid([]byte(text)) {
			// The standard library lets bytes that are not UTF-8, and halves of
			// pairs, pass.
			if err == nil || errors.Is(err, jsontoken.ErrMalformed) && utf8.ValidString(text) && !strings.Contains(err.Error(), "surrogate") {
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
