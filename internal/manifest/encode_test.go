package manifest_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

const one = `{"path":"w","kind":"file","size":1,"mode":384,"mtime":"2026-01-02T03:04:05Z","sha256":"6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"}`

func doc(files string, problems ...string) string {
	var b strings.Builder
	b.WriteString(`{"version":1,"files":[` + "\n")
	if files != "" {
		b.WriteString(files + "\n")
	}
	b.WriteString(`],"problems":[` + "\n")
	if len(problems) > 0 {
		b.WriteString(strings.Join(problems, ",\n") + "\n")
	}
	b.WriteString("]}\n")
	return b.String()
}

func TestEncode(t *testing.T) {
	w := file("w", "1")
	w.Mode, w.ModTime = 0o600, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &manifest.Manifest{
		Files:    []artifact.File{link("l", "w"), w},
		Problems: []manifest.Problem{{Path: `"\xff"`, Kind: manifest.Name, Reason: "r"}},
	}
	want := doc(`{"path":"l","kind":"symlink","target":"w"},`+"\n"+one, `{"path":"\"\\xff\"","kind":"name","reason":"r"}`)
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	again, err := manifest.Decode(bytes.NewReader(data), manifest.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again, sameDigest); diff != "" {
		t.Errorf("after a round trip (-want +got):\n%s", diff)
	}
}

func TestEncodeRefuses(t *testing.T) {
	m := &manifest.Manifest{Files: []artifact.File{file("b", ""), file("a", "")}}
	if _, err := m.Encode(); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("unsorted manifest: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	bare := func(s string) string { return doc(`{"path":"w",` + s + `}`) }
	sum := `"sha256":"6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"`
	tests := []struct {
		name, in string
		err      error
		text     string
	}{
		{"empty", "", manifest.ErrMalformed, "line 1: it ends"},
		{"other_version", strings.Replace(doc(one), ":1,", ":2,", 1), manifest.ErrMalformed, "line 1:"},
		{"cut_off", doc(one)[:len(doc(one))-3], manifest.ErrMalformed, "line 4: it ends"},
		{"last_newline_gone", strings.TrimSuffix(doc(one), "\n"), manifest.ErrMalformed, "it ends"},
		{"something_follows", doc(one) + "x", manifest.ErrMalformed, "follows the end"},
		{"other_line_ends", strings.ReplaceAll(doc(one), "\n", "\r\n"), manifest.ErrMalformed, "line 1:"},
		{"comma_before_end", doc(one + ","), manifest.ErrMalformed, "line 3:"},
		{"comma_missing", doc(one + "\n" + one), manifest.ErrMalformed, "line 3:"},
		{"white_space", doc(" " + one), manifest.ErrMalformed, "not how"},
		{"unknown_field", doc(strings.Replace(one, `"size"`, `"x":1,"size"`, 1)), manifest.ErrMalformed, "not how"},
		{"field_twice", doc(strings.Replace(one, `"size"`, `"size":2,"size"`, 1)), manifest.ErrMalformed, "not how"},
		{"field_in_capitals", doc(strings.Replace(one, `"size"`, `"SIZE"`, 1)), manifest.ErrMalformed, "not how"},
		{"other_escapes", doc(strings.Replace(one, `"w"`, `"\u0077"`, 1)), manifest.ErrMalformed, "not how"},
		{"invalid_utf8", doc(strings.Replace(one, `"w"`, "\"\xff\"", 1)), manifest.ErrMalformed, "not how"},
		{"other_zone", doc(strings.Replace(one, "05Z", "05+00:00", 1)), manifest.ErrMalformed, "not how"},
		{"digest_in_capitals", doc(strings.Replace(one, "6b86b", "6B86B", 1)), manifest.ErrMalformed, "not how"},
		{"null", doc("null"), manifest.ErrMalformed, "not how"},
		{"path_twice", doc(one + ",\n" + one), manifest.ErrMalformed, "out of order"},
		{"unsorted", doc(one + ",\n" + strings.Replace(one, `"w"`, `"a"`, 1)), manifest.ErrMalformed, "out of order"},
		{"path_climbs", doc(strings.Replace(one, `"w"`, `"../w"`, 1)), manifest.ErrMalformed, "shortest form"},
		{"path_absolute", doc(strings.Replace(one, `"w"`, `"/w"`, 1)), manifest.ErrMalformed, "absolute"},
		{"kind_unknown", bare(`"kind":"door"`), manifest.ErrMalformed, "kind"},
		{"kind_is_not_the_mode", bare(`"kind":"fifo","mode":384`), manifest.ErrMalformed, "mode"},
		{"size_negative", bare(`"kind":"file","size":-1,` + sum), manifest.ErrMalformed, "size"},
		{"directory_with_size", bare(`"kind":"directory","size":1`), manifest.ErrMalformed, "size"},
		{"fifo_with_digest", bare(`"kind":"fifo",` + sum), manifest.ErrMalformed, "digest"},
		{"other_algorithm", bare(`"kind":"file","sha256":"blake3:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"`), manifest.ErrMalformed, "digest"},
		{"no_digest_and_no_problem", bare(`"kind":"file"`), manifest.ErrMalformed, "neither"},
		{"file_with_target", bare(`"kind":"file",` + sum + `,"target":"x"`), manifest.ErrMalformed, "target"},
		{"link_without_target", bare(`"kind":"symlink"`), manifest.ErrMalformed, "nowhere"},
		{"problem_of_unknown_kind", doc("", `{"path":"w","kind":"x","reason":"r"}`), manifest.ErrMalformed, "kind"},
		{"problem_without_reason", doc("", `{"path":"w","kind":"walk","reason":""}`), manifest.ErrMalformed, "reason"},
		{"problem_with_bare_name", doc("", `{"path":"w","kind":"name","reason":"r"}`), manifest.ErrMalformed, "quoted"},
		{"problem_with_bad_path", doc("", `{"path":"../w","kind":"walk","reason":"r"}`), manifest.ErrMalformed, "shortest"},
		{"problem_twice", doc("", `{"path":"w","kind":"walk","reason":"r"}`, `{"path":"w","kind":"walk","reason":"r"}`), manifest.ErrMalformed, "out of order"},
		{"long_line", doc(strings.Repeat(" ", 1<<17)), manifest.ErrLimit, "line 2"},
		{"too_many_entries", doc(strings.Replace(one, `"w"`, `"a"`, 1) + ",\n" + strings.Replace(one, `"w"`, `"b"`, 1) + ",\n" + one), manifest.ErrLimit, "line 4"},
		{"too_long", doc(one) + strings.Repeat(" ", 1<<12), manifest.ErrMalformed, "follows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := manifest.Decode(strings.NewReader(tt.in), manifest.Limits{Entries: 2, Bytes: 1 << 20})
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.err, tt.text)
			}
		})
	}
}

func TestDecodeByteLimit(t *testing.T) {
	in := doc(one)
	if _, err := manifest.Decode(strings.NewReader(in), manifest.Limits{Bytes: int64(len(in))}); err != nil {
		t.Errorf("document of exactly the limit: %v", err)
	}
	if _, err := manifest.Decode(strings.NewReader(in), manifest.Limits{Bytes: int64(len(in)) - 1}); !errors.Is(err, manifest.ErrLimit) {
		t.Errorf("document of one byte more: %v", err)
	}
}

// What is accepted has one spelling, is sorted, and can be used as paths.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(doc("")))
	f.Add([]byte(doc(one)))
	f.Add([]byte(doc(`{"path":"l","kind":"symlink","target":"w"},`+"\n"+one, `{"path":"l","kind":"link_escapes","reason":"r"}`)))
	f.Add([]byte(doc(`{"path":"w","kind":"file","size":1}`, `{"path":"\"\\xff\"","kind":"name","reason":"r"}`, `{"path":"w","kind":"unstable","reason":"r"}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := manifest.Decode(bytes.NewReader(data), manifest.Limits{Entries: 100, Bytes: 1 << 20})
		if err != nil {
			if !errors.Is(err, manifest.ErrMalformed) && !errors.Is(err, manifest.ErrLimit) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("written again: %v\n%s\n%s", err, data, again)
		}
		if !slices.IsSortedFunc(m.Files, func(a, b artifact.File) int { return strings.Compare(a.Path, b.Path) }) {
			t.Error("not sorted")
		}
		for _, file := range m.Files {
			if err := artifact.CheckPath(file.Path); err != nil {
				t.Error(err)
			}
		}
		if changes := manifest.Compare(m, m); len(changes) != 0 {
			t.Errorf("differs from itself: %v", changes)
		}
	})
}
