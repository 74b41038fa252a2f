package pyenv_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/weightwarden/weightwarden/internal/pyenv"
)

// vectors returns the folder of shared Python data.
func vectors(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("WEIGHTWARDEN_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	return filepath.Join(shared, "vectors/python")
}

func TestReadMetadata(t *testing.T) {
	tests := []struct{ name, in, want, err string }{
		{"plain", "Metadata-Version: 2.1\nName: torch\nVersion: 2.2.0\n\nbody", "torch 2.2.0", ""},
		{"crlf_and_case", "NAME: torch\r\nversion:2.2.0\r\n", "torch 2.2.0", ""},
		{"body_does_not_count", "Name: a\nVersion: 1\n\nName: b\nVersion: 2\n", "a 1", ""},
		{"malformed_line_ends_headers", "Name: a\nVersion: 1\nmd5 sha1\nName: b\n", "a 1", ""},
		{"folded_elsewhere", "Name: a\nDescription: x\n  Name: b\nVersion: 1\n", "a 1", ""},
		{"empty", "", " ", "no Name"},
		{"no_version", "Name: a\n\nVersion: 1\n", "a ", "no Version"},
		{"name_twice", "Name: a\nName: a\nVersion: 1\n", "a 1", "name given twice"},
		{"hidden_behind_carriage_return", "Summary: x\rName: evil\rVersion: 1\nName: a\nVersion: 2", "evil 1", "name given twice"},
		{"folded_name", "Name: a\n b\nVersion: 1\n", "a 1", "name goes on over several lines"},
		{"bad_name", "Name: a/../b\nVersion: 1\n", " 1", `name "a/../b" is not acceptable`},
		{"escape_in_version", "Name: a\nVersion: 1\x1b[2J\n", "a ", `version "1\x1b[2J" is not acceptable`},
		{"bad_name_then_good", "Name: -\nName: a\nVersion: 1\n", " 1", `name "-" is not acceptable`},
		{"byte_order_mark", "\ufeffName: a\nVersion: 1\n", " ", "no Name"},
		{"space_before_colon", "Name : a\nVersion: 1\n", " ", "no Name"},
		{"long_line", "Name: a\nVersion: 1\nSummary: " + strings.Repeat("x", 100) + "\n", "a 1", "a line longer than 100 bytes"},
		{"long_headers", "Name: a\nVersion: 1\n" + strings.Repeat("Classifier: x\n", 100), "a 1", "headers longer than 500 bytes"},
		{"long_body", "Name: a\nVersion: 1\n\n" + strings.Repeat("x", 1000), "a 1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := pyenv.ReadMetadata(strings.NewReader(tt.in), pyenv.Limits{HeaderBytes: 500, LineBytes: 100})
			if got := m.Name + " " + m.Version; got != tt.want {
				t.Errorf("metadata %q, want %q", got, tt.want)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
	broken := errors.New("disk on fire")
	if _, err := pyenv.ReadMetadata(io.MultiReader(strings.NewReader("Name: a\n"), iotest.ErrReader(broken)), pyenv.Limits{}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestSharedMetadata(t *testing.T) {
	for file, want := range map[string]string{
		"wheelegg.distinfo_meta": "pip 22.2.2", "wheelegg.malformed_pkginfo": "passlib 1.7.4", "wheelegg.mixed_case": "httplib2 1.0",
		"wheelegg.special_chars": "backports.ssl_match_hostname 3.5.0.1", "wheelegg.egginfo": "pycups 2.0.1", "wheelegg.repeated_pkginfo": "root 1.0.0",
	} {
		f, err := os.Open(filepath.Join(vectors(t), "metadata", file))
		if err != nil {
			t.Skipf("no vectors: %v", err)
		}
		m, err := pyenv.ReadMetadata(f, pyenv.Limits{})
		if got := m.Name + " " + m.Version; got != want || (err != nil) != (file == "wheelegg.repeated_pkginfo") {
			t.Errorf("%s: %q, %v, want %q", file, got, err, want)
		}
		f.Close()
	}
}

func TestSharedNamesAndVersions(t *testing.T) {
	for _, row := range table(t, "pep503-names.tsv") {
		if got := pyenv.NormalizeName(row[0]); got != row[1] {
			t.Errorf("NormalizeName(%q) = %q, want %q", row[0], got, row[1])
		}
	}
	for _, row := range table(t, "pep440-normalise.tsv") {
		if got, ok := pyenv.NormalizeVersion(row[0]); !ok || got != row[1] {
			t.Errorf("NormalizeVersion(%q) = %q, %v, want %q", row[0], got, ok, row[1])
		}
	}
}

// table returns the rows of a shared file below its heading.
func table(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(vectors(t), "versions", file))
	if err != nil {
		t.Skipf("no vectors: %v", err)
	}
	defer f.Close()
	var rows [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		rows = append(rows, strings.Split(s.Text(), "\t"))
	}
	return rows[1:]
}

func TestSameVersion(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"1.0", "1.0.0", true},
		{"1", "1.0.0.0", true},
		{"1.0", "1.0.1", false},
		{"1.10", "1.1", false},
		{"v1.0", "1.0", true},
		{"1.0.0RC1", "1.0-c.1", true},
		{"1.0a", "1.0a0", true},
		{"1.0-1", "1.0.post1", true},
		{"1.0.rev2", "1.0.post2", true},
		{"1.0.dev", "1.0dev0", true},
		{"0!1.0", "1.0", true},
		{"1!1.0", "1.0", false},
		{"01.02", "1.2", true},
		{"99999999999999999999999999", "99999999999999999999999998", false},
		{"2.2.0", "2.2.0+cu121", false},
		{"2.2+CU121", "2.2.0+cu121", true},
		{"1.0+ubuntu-01", "1.0+ubuntu.1", true},
		{"1.0a1", "1.0", false},
		{"1.0.post1", "1.0", false},
		{"legacy-x", "legacy-x", true},
		{"legacy-x", "Legacy-X", false},
		{"", "", true},
		{"", "0", false},
	}
	for _, tt := range tests {
		if got, back := pyenv.SameVersion(tt.a, tt.b), pyenv.SameVersion(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("SameVersion(%q, %q) = %v, turned round %v, want %v", tt.a, tt.b, got, back, tt.want)
		}
	}
}

// Promise: a name and a version that are returned are acceptable, and without
// an error both are there.
func FuzzReadMetadata(f *testing.F) {
	f.Add("Name: a\nVersion: 1\n\nbody")
	f.Add("Name: a\r\n b\rVersion: 1\n")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := pyenv.ReadMetadata(strings.NewReader(in), pyenv.Limits{HeaderBytes: 500, LineBytes: 100})
		if err == nil && (m.Name == "" || m.Version == "") {
			t.Errorf("metadata %+v without an error", m)
		}
		if m.Name != "" && !pyenv.ValidName(m.Name) || strings.ContainsFunc(m.Version, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			t.Errorf("metadata %+v", m)
		}
	})
}

// Promise: the normal form is stable, the same version as what it was made
// from, and no longer affected by trailing zeros of the release.
func FuzzNormalizeVersion(f *testing.F) {
	for _, v := range []string{"1.0", "v1!2.0rc1.post2.dev3+Ubuntu-01", "1.0-1", " 1.0.preview ", strings.Repeat("1", 255) + "c"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, in string) {
		once, ok := pyenv.NormalizeVersion(in)
		if !ok {
			if once != in {
				t.Errorf("%q came back as %q", in, once)
			}
			return
		}
		twice, ok := pyenv.NormalizeVersion(once)
		if !ok || twice != once {
			t.Errorf("%q -> %q -> %q, %v", in, once, twice, ok)
		}
		if !pyenv.SameVersion(in, once) || pyenv.SameVersion(once, fmt.Sprintf("9%s", once)) {
			t.Errorf("%q and its normal form %q", in, once)
		}
	})
}
