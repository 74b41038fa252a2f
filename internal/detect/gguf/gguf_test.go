package gguf_test

import (
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/gguf"
)

type sink struct {
	hits   []detect.Hit
	nested []detect.Member
}

func (s *sink) Hit(h detect.Hit) { s.hits = append(s.hits, h) }
func (s *sink) Fact(string)      {}
func (s *sink) Nested(_ context.Context, m detect.Member) error {
	s.nested = append(s.nested, m)
	return nil
}

func u32(n uint32) string    { return string(binary.LittleEndian.AppendUint32(nil, n)) }
func u64(n uint64) string    { return string(binary.LittleEndian.AppendUint64(nil, n)) }
func text(s string) string   { return u64(uint64(len(s))) + s }
func key(k, v string) string { return text(k) + u32(8) + text(v) }

// file has the keys and one tensor of 32 bytes.
func file(keys ...string) string {
	s := "GGUF" + u32(3) + u64(1) + u64(uint64(len(keys))) + strings.Join(keys, "") + text("w") + u32(1) + u64(8) + u32(0) + u64(0)
	return s + strings.Repeat("\x00", (32-len(s)%32)%32+32)
}

func judge(t *testing.T, data string, deep bool) *sink {
	t.Helper()
	s := &sink{}
	in := detect.Input{Data: io.NewSectionReader(strings.NewReader(data), 0, int64(len(data))), Deep: deep}
	if err := gguf.New().Detect(t.Context(), in, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Templates are handed on with the bytes that they have in the file.
func TestTemplates(t *testing.T) {
	list := text("tokenizer.chat_template") + u32(9) + u32(8) + u64(2) + text("one") + text("two")
	tests := []struct {
		name string
		keys []string
		want map[string]string
	}{
		{"none", []string{key("general.name", "{{ x }}")}, map[string]string{}},
		{"one", []string{key("tokenizer.chat_template", "{{ a }}")}, map[string]string{"tokenizer.chat_template": "{{ a }}"}},
		{"named", []string{key("tokenizer.chat_template.tool_use", "{{ b }}")}, map[string]string{"tokenizer.chat_template.tool_use": "{{ b }}"}},
		{"list", []string{list}, map[string]string{"tokenizer.chat_template[0]": "one", "tokenizer.chat_template[1]": "two"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := judge(t, file(tt.keys...), false)
			got := map[string]string{}
			for _, m := range s.nested {
				content, err := io.ReadAll(m.Data)
				if err != nil || m.As != artifact.Template {
					t.Errorf("%+v: %v", m, err)
				}
				got[m.Name] = string(content)
			}
			if d := cmp.Diff(tt.want, got); d != "" || len(s.hits) > 0 {
				t.Errorf("%s, hits %+v", d, s.hits)
			}
		})
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		name, key string
		hits      int
	}{
		{"web", key("general.url", "https://a.invalid/b"), 0},
		{"no_scheme", key("general.source.url", "a.invalid/b:c"), 0},
		{"file", key("general.source.url", "file:///etc/passwd"), 1},
		{"script", key("general.url", "JavaScript:alert(1)"), 1},
		{"empty", key("general.url", ""), 0},
		{"template_that_is_a_number", text("tokenizer.chat_template") + u32(4) + u32(7), 1},
	}
	for _, tt := range tests {
		if s := judge(t, file(tt.key), false); len(s.hits) != tt.hits {
			t.Errorf("%s: hits are %+v", tt.name, s.hits)
		}
	}
}

// Numbers are looked at only when that was asked for.
func TestDeep(t *testing.T) {
	if s := judge(t, file(), false); len(s.nested) != 0 {
		t.Errorf("members are %+v", s.nested)
	}
	if s := judge(t, file(), true); len(s.nested) != 1 || !s.nested[0].Opaque || s.nested[0].Data.Size() != 32 {
		t.Errorf("members are %+v", s.nested)
	}
}
