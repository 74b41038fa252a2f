package stableid_test

import (
	"testing"

	"github.com/weightwarden/weightwarden/internal/stableid"
)

// TestNew compares with the example of RFC 9562, appendix A.4.
func TestNew(t *testing.T) {
	dns, err := stableid.Parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := stableid.New(dns, "www.example.com").String(), "2ed6657d-e927-568b-95e1-2665a8aea6a2"; got != want {
		t.Errorf("UUID %s, want %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", "6ba7b8109dad11d180b400c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430cg", "6ba7b810+9dad-11d1-80b4-00c04fd430c8"} {
		if _, err := stableid.Parse(s); err == nil {
			t.Errorf("%q is taken for a UUID", s)
		}
	}
}
