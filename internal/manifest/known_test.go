package manifest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// What is known is taken over, digest and all; everything else is read.
func TestKnown(t *testing.T) {
	for _, single := range []bool{false, true} {
		dir := t.TempDir()
		target := dir
		for _, name := range []string{"a", "b"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if single {
			target = filepath.Join(dir, "latest")
			if err := os.Symlink("a", target); err != nil {
				t.Fatal(err)
			}
		}
		first, err := manifest.Take(t.Context(), target, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		believed := artifact.SHA256Of([]byte("as it was"))
		second, err := manifest.Take(t.Context(), target, manifest.Options{Known: func(f artifact.File) (artifact.File, bool) {
			asked = append(asked, f.Path)
			f.Digest = believed
			return f, f.Path == first.Files[0].Path
		}})
		if err != nil {
			t.Fatal(err)
		}
		want := *first
		want.Files = append([]artifact.File{}, first.Files...)
		want.Files[0].Digest = believed
		want.Files[0].Attributes = second.Files[0].Attributes // what the function returned
		if diff := cmp.Diff(want.Files, second.Files, cmp.Comparer(func(a, b artifact.Digest) bool { return a == b })); diff != "" {
			t.Errorf("single %t (-want +got):\n%s", single, diff)
		}
		if len(asked) != len(first.Files) {
			t.Errorf("asked for %q", asked)
		}
	}
}
