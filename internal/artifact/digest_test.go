package artifact_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// emptySHA256 is the digest of no bytes (FIPS 180-4 examples).
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseDigest(t *testing.T) {
	tests := []struct {
		name, in, want string // want is empty where in is refused
	}{
		{"plain", emptySHA256, emptySHA256},
		{"upper_case", strings.ToUpper(emptySHA256), emptySHA256},
		{"named", "sha256:" + emptySHA256, emptySHA256},
		{"blake3", "blake3:" + emptySHA256, "blake3:" + emptySHA256},
		{"sha512", "sha512:" + strings.Repeat("0a", 64), "sha512:" + strings.Repeat("0a", 64)},
		{"empty", "", ""},
		{"name_alone", "sha256:", ""},
		{"no_name", ":" + emptySHA256, ""},
		{"unknown_algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e", ""},
		{"algorithm_in_upper_case", "SHA256:" + emptySHA256, ""},
		{"short", emptySHA256[2:], ""},
		{"odd", emptySHA256[1:], ""},
		{"long", emptySHA256 + "00", ""},
		{"far_too_long", strings.Repeat("0", 1<<20), ""},
		{"not_hex", "g" + emptySHA256[1:], ""},
		{"space_behind", emptySHA256 + " ", ""},
		{"length_of_another", "sha512:" + emptySHA256, ""},
		{"two_names", "sha256:sha256:" + emptySHA256, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := artifact.ParseDigest(tt.in)
			if (err == nil) != (tt.want != "") {
				t.Fatalf("error is %v", err)
			}
			if d.String() != tt.want {
				t.Errorf("digest is %q, want %q", d, tt.want)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("error text has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestDigestIsComparable(t *testing.T) {
	d := artifact.SHA256Of(nil)
	parsed, err := artifact.ParseDigest(emptySHA256)
	if err != nil || parsed != d {
		t.Errorf("%v (%v) is not %v", parsed, err, d)
	}
	other, err := artifact.NewDigest(artifact.BLAKE3, d.Bytes())
	if err != nil || other == d {
		t.Errorf("the same bytes of another algorithm are the same digest: %v (%v)", other, err)
	}
	raw := d.Bytes()
	raw[0]++
	if d != parsed {
		t.Error("Bytes gives away the digest's own bytes")
	}
}

func TestDigestInJSON(t *testing.T) {
	type box struct {
		D artifact.Digest `json:"d,omitzero"`
	}
	for _, in := range []string{`{}`, `{"d":"` + emptySHA256 + `"}`, `{"d":"blake3:` + emptySHA256 + `"}`} {
		var b box
		if err := json.Unmarshal([]byte(in), &b); err != nil {
			t.Fatal(err)
		}
		if out, err := json.Marshal(b); err != nil || string(out) != in {
			t.Errorf("%s became %s (%v)", in, out, err)
		}
	}
	b := box{artifact.SHA256Of(nil)}
	if err := json.Unmarshal([]byte(`{"d":""}`), &b); err != nil || !b.D.IsZero() {
		t.Errorf("empty text is %v (%v), want no digest", b.D, err)
	}
	if err := json.Unmarshal([]byte(`{"d":"00"}`), &b); err == nil {
		t.Error("a digest of one byte was accepted")
	}
}

// What is accepted has one spelling, which is accepted again as the same.
func FuzzParseDigest(f *testing.F) {
	f.Add(emptySHA256)
	f.Add("blake3:" + emptySHA256)
	f.Add("sha256:")
	f.Fuzz(func(t *testing.T, in string) {
		d, err := artifact.ParseDigest(in)
		if err != nil {
			if !d.IsZero() {
				t.Fatalf("%q: refused, and yet %v", in, d)
			}
			return
		}
		if d.IsZero() || len(d.Bytes()) != d.Algorithm().Size() {
			t.Fatalf("%q: accepted as %d bytes of %q", in, len(d.Bytes()), d.Algorithm())
		}
		again, err := artifact.ParseDigest(d.String())
		if err != nil || again != d || !strings.HasSuffix(strings.ToLower(in), d.Hex()) {
			t.Fatalf("%q: read as %v, then as %v (%v)", in, d, again, err)
		}
	})
}
