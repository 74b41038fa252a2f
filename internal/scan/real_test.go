package scan_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/scan"
)

// TestRealModels judges files that the usual libraries saved: those of the
// lab's make_models.py, in the directory that WEIGHTWARDEN_MODELS names. All
// are clean but those that say so in their name, and the numbers of an ONNX
// model in a file of their own: alone, nothing says what they are.
func TestRealModels(t *testing.T) {
	dir := os.Getenv("WEIGHTWARDEN_MODELS")
	if dir == "" {
		t.Skip("no models: set WEIGHTWARDEN_MODELS to the output of the lab's make_models.py --only small")
	}
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "MANIFEST.json" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		n++
		want := finding.Clean
		switch {
		case strings.Contains(path, "lambda"), strings.Contains(path, "evil"):
			want = finding.Malicious
		case filepath.Ext(path) == ".bin" && strings.Contains(path, "onnx"):
			want = finding.Inconclusive
		}
		file, _ := scan.Bytes(t.Context(), path, f, info.Size(), scan.Options{Detectors: catalog.All()})
		if file.Verdict != want {
			t.Errorf("%s is %s, want %s: %s", path, file.Verdict, want, file.Reason)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d files: %v", n, err)
	}
}
