package evidence_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

func checkpoint(size uint64) evidence.Checkpoint {
	return evidence.Checkpoint{Origin: ours.Public().Origin("a"), Size: size, Root: artifact.SHA256Of([]byte("root"))}
}

func TestCheckpointRoundTrip(t *testing.T) {
	for _, size := range []uint64{0, 1, 10, 1<<63 - 1} {
		want := checkpoint(size)
		note := ours.SignCheckpoint(want)
		got, err := evidence.OpenCheckpoint(note, ours.Public())
		if err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(artifact.Digest{})); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCheckpointWithOtherSignatures(t *testing.T) {
	c := checkpoint(3)
	_, witness, _ := strings.Cut(key("witness.example", 2).SignCheckpoint(c), "\n\n")
	if _, err := evidence.OpenCheckpoint(ours.SignCheckpoint(c)+witness, ours.Public()); err != nil {
		t.Errorf("a witness's signature behind ours: %v", err)
	}
	text, sig, _ := strings.Cut(ours.SignCheckpoint(c), "\n\n")
	if _, err := evidence.OpenCheckpoint(text+"\n\n"+witness+sig, ours.Public()); err != nil {
		t.Errorf("a witness's signature before ours: %v", err)
	}
}

func TestOpenCheckpointRefuses(t *testing.T) {
	good := ours.SignCheckpoint(checkpoint(3))
	text, sig, _ := strings.Cut(good, "\n\n")
	_, wrong, _ := strings.Cut(ours.SignCheckpoint(checkpoint(4)), "\n\n")
	// signed returns any text with a right signature of ours.
	signed := func(size, root string) string {
		return signText(t, ours.Public().Origin("a")+"\n"+size+"\n"+root+"\n")
	}
	root := strings.Split(text, "\n")[2]
	// 32 bytes leave two bits of the last letter unused, which must be zero.
	loose := root[:len(root)-2] + string(root[len(root)-2]+1) + "="
	if _, err := evidence.OpenCheckpoint(signed("3", root), ours.Public()); err != nil {
		t.Fatalf("the note that the others differ from: %v", err)
	}
	tests := []struct{ name, note, text string }{
		{"empty", "", "no signature"},
		{"forged_size", strings.Replace(good, "\n3\n", "\n4\n", 1), "is wrong"},
		{"forged_origin", strings.Replace(good, "here/a\n", "here/b\n", 1), "is wrong"},
		{"other_key_of_the_same_name", key(ours.Name, 9).SignCheckpoint(checkpoint(3)), "not signed by"},
		{"other_name_of_the_same_key", key("elsewhere", 1).SignCheckpoint(checkpoint(3)), "not signed by"},
		{"missing_newline", strings.TrimSuffix(good, "\n"), "no signature"},
		{"no_signature", text + "\n\n", "signature line"},
		{"second_wrong_signature_of_ours", good + wrong, "is wrong"},
		{"first_wrong_signature_of_ours", text + "\n\n" + wrong + sig, "is wrong"},
		{"hyphen_for_dash", strings.Replace(good, "— ", "- ", 1), "signature line"},
		{"signature_cut_off", good[:len(good)-6] + "\n", "signature line"},
		{"text_behind_the_signature", good + "more\n", "signature line"},
		{"size_with_leading_zero", signed("03", root), "size"},
		{"size_with_sign", signed("+3", root), "size"},
		{"size_negative", signed("-3", root), "size"},
		{"size_too_large", signed("9223372036854775808", root), "size"},
		{"size_missing", signed("", root), "size"},
		{"root_too_short", signed("3", "AAAA"), "root of 3 bytes"},
		{"root_not_base64", signed("3", "?"), "root"},
		{"root_with_loose_bits", signed("3", loose), "root"},
		{"too_long", good + strings.Repeat("— w AAAAAAAA\n", 10_000), "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := evidence.OpenCheckpoint(tt.note, ours.Public())
			if !errors.Is(err, evidence.ErrCheckpoint) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %+v, %v; want an error with %q", c, err, tt.text)
			}
		})
	}
}

// signText signs any text as a note of ours, as a checkpoint or not.
func signText(t *testing.T, text string) string {
	t.Helper()
	id, err := hex.DecodeString(strings.Split(ours.Public().String(), "+")[1])
	if err != nil {
		t.Fatal(err)
	}
	sig := append(id, ed25519.Sign(ours.Key, []byte(text))...)
	return text + "\n— " + ours.Name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

func TestVerifierKeyRoundTrip(t *testing.T) {
	want := ours.Public()
	got, err := evidence.ParseVerifierKey(want.String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseVerifierKeyRefuses(t *testing.T) {
	good := ours.Public().String()
	for name, s := range map[string]string{
		"empty":           "",
		"other_id":        strings.Replace(good, "+", "+0", 1),
		"id_in_capitals":  strings.ToUpper(good),
		"other_name":      "x" + good,
		"key_cut_off":     good[:len(good)-4],
		"name_with_space": "a b" + good[strings.Index(good, "+"):],
		"two_parts":       "a+00000000",
	} {
		t.Run(name, func(t *testing.T) {
			if k, err := evidence.ParseVerifierKey(s); err == nil {
				t.Errorf("accepted %q as %s", s, k)
			}
		})
	}
}

func TestDocumentSignatures(t *testing.T) {
	k := ours.Public()
	sig := ours.SignDocument("baseline/m", []byte("data"))
	for _, tt := range []struct {
		name, context, data string
		sig                 []byte
		want                bool
	}{
		{"right", "baseline/m", "data", sig, true},
		{"other_context", "baseline/n", "data", sig, false},
		{"other_data", "baseline/m", "date", sig, false},
		{"border_moved", "baseline/", "mdata", sig, false},
		{"no_signature", "baseline/m", "data", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := k.VerifyDocument(tt.context, []byte(tt.data), tt.sig); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
