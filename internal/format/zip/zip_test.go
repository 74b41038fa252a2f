package zip_test

import (
	stdzip "archive/zip"
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/zip"
)

// plain is an archive that the standard library wrote.
func plain(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := stdzip.NewWriter(&b)
	for _, name := range []string{"a.txt", "dir/b.bin"} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write(bytes.Repeat([]byte(name), 10))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRead(t *testing.T) {
	whole := plain(t)
	end := bytes.LastIndex(whole, []byte("PK\x05\x06"))
	directory := bytes.Index(whole, []byte("PK\x01\x02"))
	edit := func(at int, with string) []byte {
		b := bytes.Clone(whole)
		copy(b[at:], with)
		return b
	}
	tests := []struct {
		name string
		data []byte
		want []zip.TroubleKind
	}{
		{"plain", whole, nil},
		{"prefix", append([]byte("something"), whole...), []zip.TroubleKind{zip.Prefix}},
		{"zeros_in_front", append(make([]byte, 64), whole...), nil},
		{"tail", append(bytes.Clone(whole), 'x'), []zip.TroubleKind{zip.Tail}},
		{"local_name", edit(30, "z"), []zip.TroubleKind{zip.Differs}},
		{"count", edit(end+8, "\x09\x00\x09\x00"), []zip.TroubleKind{zip.Counts}},
		{"points_elsewhere", edit(directory+42, "\x01"), []zip.TroubleKind{zip.NoLocal, zip.Unlisted}},
		{"points_out", edit(directory+42, "\xf0\xf0\xf0\x70"), []zip.TroubleKind{zip.NoLocal, zip.Unlisted}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := zip.Read(bytes.NewReader(tt.data), int64(len(tt.data)), zip.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var got []zip.TroubleKind
			for _, trouble := range a.Troubles {
				got = append(got, trouble.Kind)
			}
			if d := cmp.Diff(tt.want, slices.Compact(got)); d != "" {
				t.Errorf("%s\n%+v", d, a.Troubles)
			}
		})
	}
}

func TestReadWithoutDirectory(t *testing.T) {
	whole := plain(t)
	cut := whole[:bytes.Index(whole, []byte("PK\x01\x02"))]
	a, err := zip.Read(bytes.NewReader(cut), int64(len(cut)), zip.Limits{})
	if !errors.Is(err, zip.ErrMalformed) {
		t.Errorf("error is %v", err)
	}
	if len(a.Entries) == 0 || a.Entries[0].Local.Name != "a.txt" || !a.Entries[0].Hidden {
		t.Errorf("entries are %+v", a.Entries)
	}
	if _, err := zip.Read(bytes.NewReader(whole), int64(len(whole)), zip.Limits{Entries: 1}); !errors.Is(err, zip.ErrLimit) {
		t.Errorf("error is %v, want the limit", err)
	}
}

// Damage anywhere in an archive leaves sections inside of the file.
func TestDamaged(t *testing.T) {
	whole := plain(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		b := bytes.Clone(whole)
		for range 1 + r.IntN(6) {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		a, _ := zip.Read(bytes.NewReader(b), int64(len(b)), zip.Limits{Entries: 1000})
		for i := range a.Entries {
			if n := a.Section(&a.Entries[i]).Size(); n < 0 || n > int64(len(b)) {
				t.Fatalf("section of %d bytes: %x", n, b)
			}
		}
	}
}

// FuzzRead promises: sections lie in the file, and what the standard library
// opens without complaint has every one of its entries here.
func FuzzRead(f *testing.F) {
	f.Add(plain(f))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := zip.Read(bytes.NewReader(data), int64(len(data)), zip.Limits{Entries: 1000})
		names := map[string]bool{}
		for i := range a.Entries {
			e := &a.Entries[i]
			names[e.Central.Name] = true
			s := a.Section(e)
			if s.Size() < 0 || s.Size() > int64(len(data)) {
				t.Fatalf("section of %d bytes in %d", s.Size(), len(data))
			}
		}
		for _, trouble := range a.Troubles {
			if trouble.Text == "" || trouble.Kind == 0 {
				t.Fatalf("%+v", trouble)
			}
		}
		std, bad := stdzip.NewReader(bytes.NewReader(data), int64(len(data)))
		if bad != nil || err != nil {
			return
		}
		for _, entry := range std.File {
			if !names[entry.Name] && len(a.Troubles) == 0 {
				t.Fatalf("the standard library sees %q", entry.Name)
			}
		}
	})
}
