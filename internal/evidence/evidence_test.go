package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// key returns a signing key that is the same on every run.
func key(name string, seed byte) evidence.SigningKey {
	return evidence.SigningKey{Name: name, Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

var ours = key("weightwarden/here", 1)

// rfc6962 is the tree hash as section 2.1 of the RFC defines it, by recursion.
func rfc6962(leaves [][]byte) []byte {
	var sum [sha256.Size]byte
	switch n := len(leaves); n {
	case 0:
		sum = sha256.Sum256(nil)
	case 1:
		sum = sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		sum = sha256.Sum256(append(append([]byte{1}, rfc6962(leaves[:k])...), rfc6962(leaves[k:])...))
	}
	return sum[:]
}

func TestTreeIsThatOfRFC6962(t *testing.T) {
	var leaves [][]byte
	var tree evidence.Tree
	for n := range 131 {
		if got, want := tree.Root().Bytes(), rfc6962(leaves); !bytes.Equal(got, want) {
			t.Fatalf("root of %d leaves is %x, want %x", n, got, want)
		}
		again, err := evidence.NewTree(tree.Size(), tree.Frontier())
		if err != nil || again.Root() != tree.Root() {
			t.Fatalf("tree of %d leaves from its frontier: %v, %v", n, again, err)
		}
		if _, err := evidence.NewTree(tree.Size()+1, tree.Frontier()); err == nil && n&(n+1) != 0 && onesDiffer(n) {
			t.Errorf("frontier of %d leaves was accepted for %d", n, n+1)
		}
		leaf := fmt.Appendf(nil, "leaf %d", n)
		leaves = append(leaves, leaf)
		tree.Add(evidence.LeafHash(leaf))
	}
}

// onesDiffer reports whether n and n+1 have frontiers of different lengths.
func onesDiffer(n int) bool {
	return strings.Count(fmt.Sprintf("%b", n), "1") != strings.Count(fmt.Sprintf("%b", n+1), "1")
}

// The inputs and roots that implementations of Certificate Transparency have
// in common in their tests.
func TestTreeOfPublishedVectors(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var tree evidence.Tree
	for i, l := range leaves {
		leaf, err := hex.DecodeString(l)
		if err != nil {
			t.Fatal(err)
		}
		tree.Add(evidence.LeafHash(leaf))
		if got := tree.Root().Hex(); got != roots[i] {
			t.Errorf("root of %d leaves is %s, want %s", i+1, got, roots[i])
		}
	}
}

func TestSealAndParse(t *testing.T) {
	e, err := evidence.Seal("incident/a", 7, artifact.SHA256Of([]byte("before")), evidence.Draft{
		Time: noon, Actor: "user@host", Kind: "note", Body: map[string]string{"text": "<\u202e>\x00\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := evidence.ParseEntry(e.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, again, cmp.AllowUnexported(evidence.Entry{}, artifact.Digest{})); diff != "" {
		t.Error(diff)
	}
	if !again.Time.Equal(noon) {
		t.Errorf("time is %v, want %v", again.Time, noon)
	}
	var body struct{ Text string }
	if err := again.Decode(&body); err != nil || body.Text != "<\u202e>\x00\n" {
		t.Errorf("body is %q, %v", body.Text, err)
	}
}

func TestParseEntryRefuses(t *testing.T) {
	const good = `{"log":"a","seq":1,"time":"2026-03-01T12:00:00.000000000Z","actor":"u","kind":"k","body":{"x":1}}`
	if _, err := evidence.ParseEntry([]byte(good)); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, from, to string }{
		{"key_given_twice", `"kind":"k"`, `"kind":"k","kind":"k"`},
		{"key_in_other_case", `"kind"`, `"Kind"`},
		{"unknown_key", `"kind"`, `"more":1,"kind"`},
		{"space", `{"log"`, `{ "log"`},
		{"bytes_behind", `{"x":1}}`, `{"x":1}}{}`},
		{"newline_behind", `{"x":1}}`, "{\"x\":1}}\n"},
		{"no_log", `"a"`, `""`},
		{"no_seq", `1,"t`, `0,"t`},
		{"negative_seq", `1,"t`, `-1,"t`},
		{"no_kind", `"k"`, `""`},
		{"time_in_other_zone", `Z"`, `+00:00"`},
		{"time_of_other_precision", `.000000000Z`, `Z`},
		{"prev_of_other_spelling", `{"x":1}}`, `{"x":1},"prev":"sha256:` + strings.Repeat("0", 64) + `"}`},
		{"prev_too_short", `{"x":1}}`, `{"x":1},"prev":"00"}`},
		{"other_escape", `"u"`, `"\u0075"`},
		{"not_utf8", `"u"`, "\"\xff\""},
		{"cut_off", `}}`, `}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := strings.Replace(good, tt.from, tt.to, 1)
			if e, err := evidence.ParseEntry([]byte(raw)); err == nil {
				t.Errorf("accepted %s as %+v", raw, e)
			}
		})
	}
}

func TestSealRefuses(t *testing.T) {
	good := evidence.Draft{Time: noon, Kind: "note"}
	tests := []struct {
		name  string
		log   string
		seq   uint64
		draft evidence.Draft
	}{
		{"no_log", "", 1, good},
		{"number_zero", "a", 0, good},
		{"no_kind", "a", 1, evidence.Draft{Time: noon}},
		{"body_that_is_no_json", "a", 1, evidence.Draft{Time: noon, Kind: "note", Body: func() {}}},
		{"year_10000", "a", 1, evidence.Draft{Time: noon.AddDate(8000, 0, 0), Kind: "note"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if e, err := evidence.Seal(tt.log, tt.seq, artifact.Digest{}, tt.draft); err == nil {
				t.Errorf("sealed %s", e.Raw())
			}
		})
	}
}
