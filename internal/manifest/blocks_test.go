package manifest_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/manifest"
)

var secret = bytes.Repeat([]byte{7}, manifest.SecretSize)

// taken observes tr with tags, and returns the set as it comes back from
// where it is kept.
func (tr tree) taken() (*manifest.Manifest, *manifest.Blocks) {
	tr.t.Helper()
	b, err := manifest.NewBlocks(secret, nil)
	tr.must(err)
	m, err := manifest.Take(tr.t.Context(), tr.dir, manifest.Options{Blocks: b})
	tr.must(err)
	data, err := b.Encode(m)
	tr.must(err)
	b, err = manifest.DecodeBlocks(data, secret, m)
	tr.must(err)
	return m, b
}

// big writes a file of n blocks and some bytes, each block another.
func (tr tree) big(name string, blocks int) {
	tr.t.Helper()
	var b bytes.Buffer
	for i := range blocks {
		b.Write(bytes.Repeat([]byte{byte(i + 1)}, manifest.BlockSize))
	}
	b.WriteString("tail")
	tr.write(name, b.String())
}

// poke changes one byte in place.
func (tr tree) poke(name string, off int64) {
	tr.t.Helper()
	f, err := os.OpenFile(tr.path(name), os.O_RDWR, 0)
	tr.must(err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	tr.must(err)
	_, err = f.WriteAt([]byte{b[0] ^ 1}, off)
	tr.must(err)
}

func TestDecodeBlocksRefuses(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.write("a", "1")
	tr.write("empty", "")
	m, _ := tr.taken()
	b, err := manifest.NewBlocks(secret, nil)
	tr.must(err)
	if _, err := b.Encode(m); !errors.Is(err, manifest.ErrBlocks) {
		t.Errorf("a set without tags was encoded: %v", err)
	}
	_, err = manifest.Take(t.Context(), tr.dir, manifest.Options{Blocks: b})
	tr.must(err)
	data, err := b.Encode(m)
	tr.must(err)
	other := *m
	other.Files = other.Files[:1]
	tests := []struct {
		name   string
		data   []byte
		secret []byte
		m      *manifest.Manifest
		want   error
	}{
		{"other_secret", data, bytes.Repeat([]byte{8}, manifest.SecretSize), m, manifest.ErrSecret},
		{"other_manifest", data, secret, &other, manifest.ErrBlocks},
		{"cut", data[:len(data)-1], secret, m, manifest.ErrBlocks},
		{"longer", append(bytes.Clone(data), 0), secret, m, manifest.ErrBlocks},
		{"other_version", append([]byte("wwblock\x02"), data[8:]...), secret, m, manifest.ErrBlocks},
		{"nothing", nil, secret, m, manifest.ErrBlocks},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := manifest.DecodeBlocks(tt.data, tt.secret, tt.m); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := manifest.NewBlocks(secret[1:], nil); err == nil {
		t.Error("a short secret was accepted")
	}
}

// A set is worth something only because its id, and so its key, is no other
// set's.
func TestBlocksAreFresh(t *testing.T) {
	tr := tree{t, t.TempDir()}
	tr.write("a", "same")
	tr.write("b", "same")
	var sets [][]byte
	for range 2 {
		b, err := manifest.NewBlocks(secret, nil)
		tr.must(err)
		m, err := manifest.Take(t.Context(), tr.dir, manifest.Options{Blocks: b})
		tr.must(err)
		data, err := b.Encode(m)
		tr.must(err)
		sets = append(sets, data[len(data)-32:])
	}
	if bytes.Equal(sets[0], sets[1]) {
		t.Error("two sets have the same tags")
	}
	if bytes.Equal(sets[0][:16], sets[0][16:]) {
		t.Error("two files have the same tag")
	}
}

// Whatever is accepted is what Encode writes.
func FuzzDecodeBlocks(f *testing.F) {
	dir := f.TempDir()
	for name, content := range map[string]string{"a": "1", "b": "", "c": "22"} {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	b, err := manifest.NewBlocks(secret, nil)
	if err != nil {
		f.Fatal(err)
	}
	m, err := manifest.Take(f.Context(), dir, manifest.Options{Blocks: b})
	if err != nil {
		f.Fatal(err)
	}
	data, err := b.Encode(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:40])
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := manifest.DecodeBlocks(data, secret, m)
		if err != nil {
			if !errors.Is(err, manifest.ErrBlocks) && !errors.Is(err, manifest.ErrSecret) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		if again, err := b.Encode(m); err != nil || !bytes.Equal(again, data) {
			t.Errorf("accepted, and written otherwise (%v)", err)
		}
	})
}

func TestVerityDigest(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"empty", "", "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"},
		{"less_than_a_page", "hello\n", "9c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa"},
		{"three_levels", strings.Repeat("\x00", 1<<20), "feb19a23e72cb1b8f935d668a09ecaad0bf7c5b9cdfa6dbba7c88a9998ed2b87"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := manifest.VerityDigest(t.Context(), strings.NewReader(tt.content), int64(len(tt.content)))
			if err != nil || hex.EncodeToString(got[:]) != tt.want {
				t.Errorf("%x (%v), want %s", got, err, tt.want)
			}
		})
	}
	if _, err := manifest.VerityDigest(t.Context(), strings.NewReader("short"), 6); err == nil {
		t.Error("a file that ends early has a digest")
	}
}
