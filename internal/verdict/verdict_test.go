package verdict_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

func key(name string) evidence.SigningKey {
	seed := sha256.Sum256([]byte(name))
	return evidence.SigningKey{Name: "weightwarden/" + name, Key: ed25519.NewKeyFromSeed(seed[:])}
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func sample() verdict.Verdict {
	root := artifact.SHA256Of([]byte("weights")).String()
	return verdict.Verdict{
		Model: "fraud", State: verdict.Trusted, Root: root, Baseline: root, Path: "/models/fraud",
		Place: verdict.Place{Claim: "serving/models", Inside: "fraud"}, Cluster: "c-1", Node: "node-1", Agent: "1.0", At: noon, Sequence: 7,
	}
}

func TestSealAndOpen(t *testing.T) {
	ours, other := key("ours"), key("other")
	sealed, err := sample().Seal(ours)
	if err != nil {
		t.Fatal(err)
	}
	got, err := verdict.Open(sealed, ours.Public())
	if d := cmp.Diff(sample(), got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	standing := verdict.Standing{Cluster: "c-1", Node: "node-1", At: noon, Verdicts: map[string]uint64{"fraud": 7, "a": 1}}
	stood, err := standing.Seal(ours)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verdict.OpenStanding(stood, ours.Public()); err != nil || !cmp.Equal(got, standing) {
		t.Errorf("%+v, %v", got, err)
	}
	spaced := verdict.Sealed{Text: strings.Replace(sealed.Text, ":", ": ", 1)}
	spaced.Signature = again(t, ours, spaced.Text)
	refused := map[string]verdict.Sealed{
		"nothing":              {},
		"no_signature":         {Text: sealed.Text},
		"other_text":           {Text: strings.Replace(sealed.Text, "trusted", "tampered", 1), Signature: sealed.Signature},
		"signed_as_standing":   stood,
		"signed_not_canonical": spaced,
		"too_long":             {Text: sealed.Text + strings.Repeat(" ", 20<<10), Signature: sealed.Signature},
	}
	for name, s := range refused {
		t.Run(name, func(t *testing.T) {
			if v, err := verdict.Open(s, ours.Public()); !errors.Is(err, verdict.ErrStatement) {
				t.Errorf("accepted %+v, %v", v, err)
			}
		})
	}
	if _, err := verdict.Open(sealed, other.Public()); !errors.Is(err, verdict.ErrStatement) {
		t.Errorf("another key: %v", err)
	}
	if _, err := verdict.OpenStanding(sealed, ours.Public()); !errors.Is(err, verdict.ErrStatement) {
		t.Errorf("a verdict taken for a standing: %v", err)
	}
}

// again signs a text as a verdict, as an agent never would.
func again(t *testing.T, k evidence.SigningKey, text string) string {
	t.Helper()
	data, err := json.Marshal(k.SignDocument("cluster verdict v1", []byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(data), `"`)
}

// As many models as may be told about fit, however long their ids.
func TestLargestStanding(t *testing.T) {
	s := verdict.Standing{Cluster: strings.Repeat("c", 512), Node: strings.Repeat("n", 253), At: noon, Verdicts: map[string]uint64{}}
	for n := range verdict.MaxModels {
		s.Verdicts[fmt.Sprintf("%0128d", n)] = 1 << 50
	}
	sealed, err := s.Seal(key("ours"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verdict.OpenStanding(sealed, key("ours").Public()); err != nil || len(got.Verdicts) != verdict.MaxModels {
		t.Errorf("%d, %v", len(got.Verdicts), err)
	}
	s.Verdicts["one-more"] = 1
	if _, err := s.Seal(key("ours")); err == nil {
		t.Error("one more model than may be told about")
	}
}

func TestRefused(t *testing.T) {
	tests := map[string]func(*verdict.Verdict){
		"model":            func(v *verdict.Verdict) { v.Model = "../fraud" },
		"state":            func(v *verdict.Verdict) { v.State = "fine" },
		"digest":           func(v *verdict.Verdict) { v.Root = "abc" },
		"upper_case":       func(v *verdict.Verdict) { v.Root = strings.ToUpper(v.Root) },
		"trusted_nothing":  func(v *verdict.Verdict) { v.Root = "" },
		"no_place":         func(v *verdict.Verdict) { v.Place = verdict.Place{} },
		"two_places":       func(v *verdict.Verdict) { v.Place.Host = "/models" },
		"claim":            func(v *verdict.Verdict) { v.Place.Claim = "models" },
		"leaves_the_place": func(v *verdict.Verdict) { v.Place.Inside = "../other" },
		"relative_host":    func(v *verdict.Verdict) { v.Place = verdict.Place{Host: "models"} },
		"volume_of_nobody": func(v *verdict.Verdict) { v.Place = verdict.Place{Volume: "models"} },
		"node":             func(v *verdict.Verdict) { v.Node = "node 1" },
		"cluster":          func(v *verdict.Verdict) { v.Cluster = "" },
		"no_time":          func(v *verdict.Verdict) { v.At = time.Time{} },
		"local_time":       func(v *verdict.Verdict) { v.At = v.At.In(time.FixedZone("x", 3600)) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			v := sample()
			change(&v)
			if s, err := v.Seal(key("ours")); err == nil {
				t.Errorf("sealed %s", s.Text)
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verdict.Parse(string(text)); !errors.Is(err, verdict.ErrStatement) {
				t.Errorf("parsed: %v", err)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	a, b := verdict.Place{Host: "/models", Inside: "fraud"}, verdict.Place{Host: "/models/fraud"}
	if a.Whole() != b.Whole() || a.String() != b.String() {
		t.Errorf("%+v and %+v are the same", a, b)
	}
	c := verdict.Place{Claim: "a/b", Inside: "x"}
	if c.Whole() != c {
		t.Errorf("%+v", c.Whole())
	}
}

// Whatever is accepted as a verdict is the one text of its values, names
// nothing that could leave its place, and opens under no key that did not sign
// it.
func FuzzParse(f *testing.F) {
	sealed, err := sample().Seal(key("ours"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed.Text, sealed.Signature)
	f.Add(`{"model":"a","state":"tampered","path":"","place":{"host_path":"/m"},"cluster":"c","node":"n","agent_version":"","looked_at":"2026-11-30T12:00:00Z","sequence":0}`, "")
	f.Add(strings.Replace(sealed.Text, `"model"`, `"Model"`, 1), sealed.Signature)
	f.Fuzz(func(t *testing.T, text, signature string) {
		opened, err := verdict.Open(verdict.Sealed{Text: text, Signature: signature}, key("ours").Public())
		if err == nil && (text != sealed.Text || !cmp.Equal(opened, sample())) {
			t.Errorf("opened %q", text)
		}
		if _, err := verdict.Open(verdict.Sealed{Text: text, Signature: signature}, key("other").Public()); err == nil {
			t.Errorf("opened with another key: %q", text)
		}
		v, err := verdict.Parse(text)
		if err != nil {
			return
		}
		again, err := v.Seal(key("ours"))
		if err != nil || again.Text != text {
			t.Errorf("accepted %q, which is %q, %v", text, again.Text, err)
		}
		if artifact.CheckID(v.Model) != nil || v.Place.Check() != nil || v.At.Location() != time.UTC || strings.Contains(v.Place.Inside, "..") && artifact.CheckPath(v.Place.Inside) != nil {
			t.Errorf("accepted %+v", v)
		}
	})
}

// The same of standings.
func FuzzParseStanding(f *testing.F) {
	s := verdict.Standing{Cluster: "c-1", Node: "node-1", At: noon, Verdicts: map[string]uint64{"fraud": 7, "a": 1}}
	sealed, err := s.Seal(key("ours"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed.Text)
	f.Add(strings.Replace(sealed.Text, `"a":1,`, `"a":1,"a":1,`, 1))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := verdict.ParseStanding(text)
		if err != nil {
			return
		}
		again, err := s.Seal(key("ours"))
		if err != nil || again.Text != text || len(s.Verdicts) > verdict.MaxModels {
			t.Errorf("accepted %q, which is %q, %v", text, again.Text, err)
		}
	})
}
