package scan_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/scan"
)

// shared returns the directory with data that is not part of the repository.
func shared(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WEIGHTWARDEN_SHARED")
	if dir == "" {
		dir = "../../../shared"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no shared data in %s: set WEIGHTWARDEN_SHARED", dir)
	}
	return dir
}

// disagreements are the files on which the index and we differ, and why.
var disagreements = map[string]struct {
	verdict finding.Verdict
	why     string
}{
	"picklescan/data/bad_pytorch.pt": {
		finding.Suspicious, "an image under a name that torch would load: the index itself notes that this deserves a warning",
	},
	"picklescan/data/benign_password_protected.zip": {
		finding.Inconclusive, "encrypted: nobody can say what is in it, and the index asks for inconclusive in its note",
	},
	"modelscan/password_protected.zip": {
		finding.Inconclusive, "encrypted, as the other; the index says suspicious and, in its note, inconclusive",
	},
	"picklescan/data/not_a_pickle.bin": {
		finding.Inconclusive, "seven bytes of no format that anybody knows: there is nothing to call clean",
	},
	"own/pickle/m90_only_stop.pkl": {
		finding.Suspicious, "one byte of text under a pickle's name, which is a lie about the format; the index says inconclusive",
	},
	"own/zip/m26_gap.pt": {
		finding.Malicious, "the hidden pickle calls os.system and readers that go from front to back find it; the index says suspicious",
	},
	"own/gguf/m22_trail.gguf": {
		finding.Malicious, "as above: the pickle behind the last tensor calls os.system",
	},
	"own/zip/m32_cd_hidden_local.pt": {
		finding.Malicious, "as above: the entry without a directory record calls os.system",
	},
}

// pending are folders of formats whose detectors are not in the catalogue yet.
// Nothing malicious there may be clean all the same.
var pending = []string{
	"onnx/", "own/onnx/", "own/gguf/m02", "own/gguf/m04", "own/hub/", "own/keras/", "own/tf/", "own/container/m24_nemo", "leaves/lg_1tree.json",
	"leaves/lg_dart_breast_cancer.json", "leaves/xg",
}

// TestCorpus judges every file of the corpus: nothing malicious may be clean,
// and 95 of 100 are malicious; benign files are clean, but for two at most.
func TestCorpus(t *testing.T) {
	root := filepath.Join(shared(t), "vectors", "models")
	rows := index(t, root)
	tally := map[[2]string]int{}
	malicious, caught, suspected := 0, 0, 0
	for _, r := range rows {
		path, want := r[0], r[5]
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		file, _ := scan.Bytes(t.Context(), path, bytes.NewReader(data), int64(len(data)), scan.Options{Detectors: catalog.All()})
		tally[[2]string{want, file.Verdict.String()}]++
		if file.Verdict == finding.Clean && want != "benign" {
			t.Errorf("%s is %s and was called clean: %s", path, want, r[6])
		}
		if hasAny(path, pending, strings.HasPrefix) {
			if file.Verdict == finding.Malicious && want == "benign" {
				t.Errorf("%s is benign and was called malicious: %s", path, file.Reason)
			}
			continue
		}
		if want == "malicious" {
			malicious++
			if file.Verdict == finding.Malicious {
				caught++
			}
		}
		if want == "benign" && file.Verdict == finding.Suspicious {
			suspected++
		}
		if expected := expect(path, want); file.Verdict != expected {
			t.Errorf("%s is %s, want %s: %s (index: %s)", path, file.Verdict, expected, file.Reason, r[6])
		}
	}
	if caught*100 < malicious*95 || suspected > 2 {
		t.Errorf("%d of %d malicious files are malicious, %d benign ones suspicious", caught, malicious, suspected)
	}
	t.Logf("index and verdict: %v", tally)
}

func hasAny(path string, parts []string, match func(s, part string) bool) bool {
	for _, p := range parts {
		if match(path, p) {
			return true
		}
	}
	return false
}

func expect(path, want string) finding.Verdict {
	if d, ok := disagreements[path]; ok {
		return d.verdict
	}
	return map[string]finding.Verdict{
		"benign": finding.Clean, "inconclusive": finding.Inconclusive, "suspicious": finding.Suspicious, "malicious": finding.Malicious,
	}[want]
}

func index(t *testing.T, root string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "INDEX.tsv"))
	if err != nil {
		t.Skip("no corpus: ", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}
