package scan_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
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

// TestCorpus judges every file of the corpus. Each has the verdict of the index,
// or the disagreement is argued above; what is malicious or suspicious has the
// rule that says why. Nothing malicious is clean, 95 of 100 are malicious, and
// at most two benign files are suspicious.
func TestCorpus(t *testing.T) {
	root := filepath.Join(shared(t), "vectors", "models")
	rows := index(t, root)
	reasons := reasons(t)
	tally := map[[2]string]int{}
	malicious, caught, suspected := 0, 0, 0
	for _, r := range rows {
		path, want, why := r[0], r[5], r[6]
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		file, found := scan.Bytes(t.Context(), path, bytes.NewReader(data), int64(len(data)), scan.Options{Detectors: catalog.All()})
		tally[[2]string{want, file.Verdict.String()}]++
		if want == "malicious" {
			malicious++
			if file.Verdict == finding.Malicious {
				caught++
			}
		}
		if want == "benign" && file.Verdict == finding.Suspicious {
			suspected++
		}
		if file.Verdict == finding.Clean && want != "benign" {
			t.Errorf("%s is %s and was called clean: %s", path, want, why)
		}
		if expected := expect(path, want); file.Verdict != expected {
			t.Errorf("%s is %s, want %s: %s (index: %s)", path, file.Verdict, expected, file.Reason, why)
		}
		if rule := reasons[path]; rule != "" || want == "malicious" {
			checkReason(t, path, why, rule, found)
		}
	}
	if caught*100 < malicious*95 || suspected > 2 {
		t.Errorf("%d of %d malicious files are malicious, %d benign ones suspicious", caught, malicious, suspected)
	}
	t.Logf("index and verdict: %v", tally)
}

// checkReason wants the rule of the table among the findings and, where the
// index names what is dangerous, one with such a name.
func checkReason(t *testing.T, path, why, rule string, found []finding.Finding) {
	t.Helper()
	_, names, named := strings.Cut(why, "expects dangerous: ")
	names, _, _ = strings.Cut(names, ";")
	ok := slices.ContainsFunc(found, func(f finding.Finding) bool {
		return f.Rule == rule && f.Verdict >= finding.Suspicious && (!named || isNamed(names, f.Name))
	})
	if !ok {
		t.Errorf("%s: no finding of %q for the reason it is indexed for: %s", path, rule, why)
	}
}

// isNamed reports whether one of the names, which may be those of Python 2,
// ends as name does.
func isNamed(names, name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return slices.ContainsFunc(strings.Split(names, ","), func(n string) bool { return strings.HasSuffix("."+strings.TrimSpace(n), "."+last) })
}

// reasons reads which rule says of a file what the index says of it.
func reasons(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/reasons.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if path, rule, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			rules[path] = rule
		}
	}
	return rules
}

// TestCorpusMemory scans the whole corpus as the command does, one file at a
// time, and looks at what the heap reserves.
func TestCorpusMemory(t *testing.T) {
	root := filepath.Join(shared(t), "vectors", "models")
	rows := index(t, root)
	const most = 128 << 20
	var before, after runtime.MemStats
	for _, r := range rows {
		if after.TotalAlloc-before.TotalAlloc > 4<<20 {
			debug.FreeOSMemory() // what the file before left
		}
		runtime.ReadMemStats(&before)
		if _, err := scan.Run(t.Context(), []string{filepath.Join(root, r[0])}, scan.Options{Detectors: catalog.All()}, report.NewScanCollector()); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		// What was allocated in all bounds what was held at a time from above;
		// where that is too coarse, the growth of the heap decides.
		if total := after.TotalAlloc - before.TotalAlloc; total > most && after.HeapSys-after.HeapReleased > most {
			t.Errorf("%s: allocates %d MiB, the heap has %d MiB", r[0], total>>20, (after.HeapSys-after.HeapReleased)>>20)
		}
	}
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
