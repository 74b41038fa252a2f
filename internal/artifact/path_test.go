package artifact_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

func TestCheckPath(t *testing.T) {
	tests := []struct {
		name, path string
		ok         bool
	}{
		{"file", "model.safetensors", true},
		{"below_a_folder", "a/b/c.bin", true},
		{"hidden", ".signatures/manifest.json", true},
		{"dots_in_a_name", "a..b/...", true},
		{"newline", "a\nb", true},
		{"backslash", `a\..\b`, true},
		{"not_normalised", "e\u0301", true},
		{"longest", strings.Repeat("a", 4096), true},
		{"empty", "", false},
		{"dot", ".", false},
		{"dot_dot", "..", false},
		{"leads_out", "../a", false},
		{"leads_out_later", "a/../../b", false},
		{"comes_back", "a/../b", false},
		{"absolute", "/etc/passwd", false},
		{"leading_dot", "./a", false},
		{"double_slash", "a//b", false},
		{"slash_behind", "a/", false},
		{"nul", "a\x00b", false},
		{"not_utf8", "a\xffb", false},
		{"too_long", strings.Repeat("a", 4097), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := artifact.CheckPath(tt.path)
			if (err == nil) != tt.ok {
				t.Errorf("error is %v", err)
			}
			if err != nil && !errors.Is(err, artifact.ErrPath) {
				t.Errorf("%v does not wrap ErrPath", err)
			}
		})
	}
}

// What is accepted is local, and joining it to a root loses nothing of it.
func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"a/b", "../a", "a/..", "/", ".\x00", "a\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if artifact.CheckPath(p) != nil {
			return
		}
		if !fs.ValidPath(p) || !filepath.IsLocal(p) || filepath.Join("/root", p) != "/root/"+p {
			t.Fatalf("%q was accepted", p)
		}
	})
}

func TestCheckID(t *testing.T) {
	tests := []struct {
		name, id string
		ok       bool
	}{
		{"letters", "fraud-model_v2.1", true},
		{"digit_first", "7b", true},
		{"longest", strings.Repeat("a", 128), true},
		{"empty", "", false},
		{"too_long", strings.Repeat("a", 129), false},
		{"hidden", ".a", false},
		{"flag", "-rf", false},
		{"leads_out", "..", false},
		{"slash", "a/b", false},
		{"quote", `a"b`, false},
		{"space", "a b", false},
		{"newline_behind", "a\n", false},
		{"nul", "a\x00", false},
		{"letter_of_another_script", "m\u043edel", false},
		{"not_utf8", "a\xff", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := artifact.CheckID(tt.id); (err == nil) != tt.ok {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// What is accepted is one name in a directory and one word of a label, and the
// text of a refusal can be printed.
func FuzzCheckID(f *testing.F) {
	for _, seed := range []string{"a", "..", "a/b", "a\x1b[2J", "\u202e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		err := artifact.CheckID(id)
		if err == nil && (artifact.CheckPath(id) != nil || strings.ContainsAny(id, "/\\ \t\r\n'\"$`") || id[0] == '-' || id[0] == '.') {
			t.Fatalf("%q was accepted", id)
		}
		if err != nil && !shows(err.Error()) {
			t.Fatalf("the refusal of %q cannot be printed: %q", id, err)
		}
	})
}

func TestQuote(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "model v2.bin", "model v2.bin"},
		{"other_scripts", "модель-模型.bin", "модель-模型.bin"},
		{"empty", "", ""},
		{"newline", "a\nb", `"a\nb"`},
		{"escape", "\x1b[2Ja", `"\x1b[2Ja"`},
		{"c1_control", "\u009b2J", `"\u009b2J"`},
		{"right_to_left", "a\u202egnp.exe", `"a\u202egnp.exe"`},
		{"zero_width", "a\u200bb", `"a\u200bb"`},
		{"no_break_space", "a\u00a0b", `"a\u00a0b"`},
		{"line_separator", "a\u2028b", `"a\u2028b"`},
		{"not_utf8", "a\xffb", `"a\xffb"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := artifact.Quote(tt.in); got != tt.want {
				t.Errorf("shown as %s, want %s", got, tt.want)
			}
		})
	}
}

// What is shown is printable to the last character, and nothing is lost.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"a b", "\x1b]0;x\a", "\u202e", "\xff\xfe", "\u00ad"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := artifact.Quote(s)
		if !shows(shown) {
			t.Fatalf("%q is shown as %q", s, shown)
		}
		if back, err := strconv.Unquote(shown); shown != s && (err != nil || back != s) {
			t.Fatalf("%q is shown as %s, which reads as %q (%v)", s, shown, back, err)
		}
	})
}

// shows reports whether a terminal can be given s.
func shows(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.Is(unicode.C, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
	})
}

func TestKindOf(t *testing.T) {
	tests := []struct {
		mode fs.FileMode
		want artifact.Kind
	}{
		{0o644, artifact.Regular},
		{fs.ModeSetuid | 0o755, artifact.Regular},
		{fs.ModeDir | 0o755, artifact.Directory},
		{fs.ModeSymlink | 0o777, artifact.Symlink},
		{fs.ModeNamedPipe, artifact.FIFO},
		{fs.ModeSocket, artifact.Socket},
		{fs.ModeDevice, artifact.Device},
		{fs.ModeDevice | fs.ModeCharDevice, artifact.Device},
		{fs.ModeIrregular, artifact.Irregular},
	}
	for _, tt := range tests {
		t.Run(tt.mode.String(), func(t *testing.T) {
			if got := artifact.KindOf(tt.mode); got != tt.want {
				t.Errorf("kind is %s, want %s", got, tt.want)
			}
		})
	}
}
