package baseline_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// seen is what matters of an indicator.
type seen struct {
	Type     indicator.Type
	File     string
	Evidence []string // its keys
}

func compare(t *testing.T, was, is string, at time.Time) []indicator.Indicator {
	t.Helper()
	b := &baseline.Baseline{Model: "m", Manifest: take(t, was)}
	return baseline.Compare(b, take(t, is), at)
}

func TestCompare(t *testing.T) {
	hashes := []string{"actual_hash", "expected_hash", "file", "model_id"}
	with := func(more ...string) []string { return slices.Sorted(slices.Values(slices.Concat(hashes, more))) }
	problem := []string{"file", "model_id", "problem", "reason"}
	was := map[string]string{"a": "one", "sub/b": "two", "link": "->a"}
	tests := []struct {
		name   string
		change map[string]string // "" removes the path
		want   []seen
	}{
		{"nothing", nil, nil},
		{"modified", map[string]string{"a": "One"}, []seen{{indicator.ModelFileTampered, "a", hashes}}},
		{"grown", map[string]string{"a": "one more"}, []seen{{indicator.ModelFileTampered, "a", hashes}}},
		{"missing", map[string]string{"sub/b": ""}, []seen{{indicator.ModelFileMissing, "sub/b", []string{"expected_hash", "file", "model_id"}}}},
		{"unexpected", map[string]string{"new": "x"}, []seen{{indicator.UnexpectedModelFile, "new", []string{"actual_hash", "file", "model_id"}}}},
		{"hidden_beside_signatures", map[string]string{".signatures/x": "x", "x.signatures/y": "y"}, []seen{
			{indicator.UnexpectedModelFile, ".signatures/x", []string{"actual_hash", "file", "model_id"}},
			{indicator.UnexpectedModelFile, "x.signatures/y", []string{"actual_hash", "file", "model_id"}},
		}},
		{"file_became_a_link", map[string]string{"a": "->sub/b"}, []seen{{indicator.ModelFileTampered, "a", with("actual_kind", "actual_kind_target")}}},
		{"link_became_a_file", map[string]string{"link": "one"}, []seen{{indicator.ModelFileTampered, "link", with("expected_kind", "expected_kind_target")}}},
		{"link_leads_elsewhere", map[string]string{"link": "->sub/b"}, []seen{{
			indicator.ModelFileTampered, "link",
			with("actual_kind", "actual_kind_target", "expected_kind", "expected_kind_target"),
		}}},
		{"file_became_a_pipe", map[string]string{"a": "fifo"}, []seen{
			{indicator.ModelFileTampered, "a", with("actual_kind")},
			{indicator.ModelFileUnreadable, "a", problem},
		}},
		{"link_leads_out", map[string]string{"link": "->/etc/passwd"}, []seen{
			{indicator.ModelFileTampered, "link", with("actual_kind", "actual_kind_target", "expected_kind", "expected_kind_target")},
			{indicator.ModelLinkEscapes, "link", problem},
		}},
		{"unexpected_pipe", map[string]string{"pipe": "fifo"}, []seen{
			{indicator.UnexpectedModelFile, "pipe", []string{"actual_hash", "actual_kind", "file", "model_id"}},
			{indicator.ModelFileUnreadable, "pipe", problem},
		}},
		{"unexpected_empty_directory", map[string]string{"dir/": ""}, []seen{{
			indicator.UnexpectedModelFile, "dir", []string{"actual_hash", "actual_kind", "file", "model_id"},
		}}},
		{"name_that_is_not_utf8", map[string]string{"\xff": "x"}, []seen{{indicator.ModelFileUnreadable, `"\xff"`, problem}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := maps.Clone(was)
			for path, content := range tt.change {
				is[path] = content
				if content == "" && path[len(path)-1] != '/' {
					delete(is, path)
				}
			}
			var got []seen
			for _, i := range compare(t, tree(t, was), tree(t, is), now) {
				got = append(got, seen{i.Type, i.File(), slices.Sorted(maps.Keys(i.Evidence))})
				if i.Source != "m" || i.Evidence["model_id"] != "m" || !i.Timestamp.Equal(now) {
					t.Errorf("indicator is %+v", i)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHashesInTheEvidence(t *testing.T) {
	found := compare(t, tree(t, map[string]string{"a": "one"}), tree(t, map[string]string{"a": "two"}), now)
	if len(found) != 1 {
		t.Fatalf("found %v", found)
	}
	want := map[string]any{
		"file": "a", "model_id": "m",
		"expected_hash": artifact.SHA256Of([]byte("one")).String(), "actual_hash": artifact.SHA256Of([]byte("two")).String(),
	}
	if diff := cmp.Diff(want, found[0].Evidence); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The same state gives the same ids, another content another id.
func TestIDs(t *testing.T) {
	was := tree(t, map[string]string{"a": "one", "b": "one", "c": "one"})
	is := tree(t, map[string]string{"a": "two", "b": "two", "d": "new", "pipe": "fifo"})
	ids := func(at time.Time) map[string]string {
		out := map[string]string{}
		for _, i := range compare(t, was, is, at) {
			if other, ok := out[i.ID]; ok {
				t.Errorf("%s and %s have the same id", other, i.Description)
			}
			out[i.ID] = i.File()
		}
		return out
	}
	first := ids(now)
	if diff := cmp.Diff(first, ids(now.Add(time.Hour))); diff != "" {
		t.Errorf("the second look has other ids (-first +second):\n%s", diff)
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(is, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "six")
	write("d", "NEW")
	var changed []string
	for id, file := range ids(now) {
		if first[id] == "" {
			changed = append(changed, file)
		}
	}
	if slices.Sort(changed); !slices.Equal(changed, []string{"a", "d"}) {
		t.Errorf("new ids for %v", changed)
	}
}

// A file that cannot be read is neither healthy nor tampered with.
func TestUnreadable(t *testing.T) {
	if syscall.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	was := map[string]string{"a": "one", "sub/b": "two"}
	is := tree(t, was)
	if err := os.Chmod(filepath.Join(is, "a"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(is, "sub"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(is, "sub"), 0o700) })
	var got []string
	for _, i := range compare(t, tree(t, was), is, now) {
		got = append(got, string(i.Type)+" "+i.File())
	}
	if diff := cmp.Diff([]string{"model_file_unreadable a", "model_file_unreadable sub"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
