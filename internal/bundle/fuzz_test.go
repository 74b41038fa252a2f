package bundle_test

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/bundle"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// No other file than the one that was written verifies with the key that
// sealed it: a bundle that verifies re-encodes to the same bytes.
func FuzzVerify(f *testing.F) {
	data := write(f, small(f, key(1), "one"))
	k := key(1).Public()
	f.Add(0, 0, []byte(nil))
	f.Add(600, 1, []byte("x"))
	f.Add(len(data)-1024, 1024, data[:16])
	f.Fuzz(func(t *testing.T, at, cut int, insert []byte) {
		// From at on, cut bytes are replaced: small inputs, any place of a file
		// that is otherwise whole.
		at = min(max(at, 0), len(data))
		cut = min(max(cut, 0), len(data)-at)
		in := slices.Concat(data[:at], insert, data[at+cut:])
		r, err := bundle.Verify(t.Context(), bytes.NewReader(in), int64(len(in)), bundle.Options{Key: &k})
		if err != nil || !r.Intact() || r.Untrusted {
			return
		}
		if !bytes.Equal(in, data) {
			t.Errorf("%d other bytes verify", len(in))
		}
	})
}

// archive makes a tar file as an attacker would, with the standard library.
func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o600
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte{'x'}, int(h.Size))); err != nil && h.Size > 0 {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileFiles(t *testing.T) {
	good := write(t, small(t, key(1), "one"))
	parts, _ := chunks(t, good)
	at := len(parts) - 2
	with := func(extra []byte) []byte {
		return slices.Concat(slices.Insert(slices.Clone(parts), at, extra[:len(extra)-1024])...)
	}
	tests := []struct {
		name string
		data []byte
	}{
		{"empty", nil},
		{"zeros", make([]byte, 1<<20)},
		{"text", []byte(strings.Repeat("no bundle ", 1000))},
		{"another_tar_file", archive(t, tar.Header{Name: "x", Size: 10})},
		{"path_that_leads_out", with(archive(t, tar.Header{Name: "../../etc/passwd", Size: 10}))},
		{"absolute_path", with(archive(t, tar.Header{Name: "/etc/passwd", Size: 10}))},
		{"symbolic_link", with(archive(t, tar.Header{Name: "state.pub", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))},
		{"device", with(archive(t, tar.Header{Name: "state.pub", Typeflag: tar.TypeBlock}))},
		{"pax_records", with(archive(t, tar.Header{Name: strings.Repeat("long/", 60) + "x", Format: tar.FormatPAX, Size: 3}))},
		{"gnu_long_name", with(archive(t, tar.Header{Name: strings.Repeat("long/", 60) + "x", Format: tar.FormatGNU, Size: 3}))},
		{"concatenated", slices.Concat(good, good)},
		{"concatenated_without_an_end_between", slices.Concat(good[:len(good)-1024], good)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := bundle.Verify(t.Context(), bytes.NewReader(tt.data), int64(len(tt.data)), bundle.Options{})
			if err != nil && fault.KindOf(err) != fault.Incomplete || err == nil && r.Intact() {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// claimed is a file that claims more than it has: what is asked for beyond
// its bytes is zero.
type claimed struct {
	head []byte
	size int64
}

func (c claimed) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(c.head)) {
		copy(p, c.head[at:])
	}
	if at+int64(len(p)) > c.size {
		return int(max(0, c.size-at)), io.EOF
	}
	return len(p), nil
}

func TestHugeClaimsAreBounded(t *testing.T) {
	manifest := archive(t, tar.Header{Name: "manifest.jsonl", Format: tar.FormatGNU, Size: 0})[:512]
	for _, head := range [][]byte{manifest, bytes.Repeat(manifest, 1000)} {
		c := claimed{head, 1 << 50}
		if r, err := bundle.Verify(t.Context(), c, c.size, bundle.Options{}); err == nil && r.Intact() {
			t.Errorf("%+v", r)
		}
	}
}

// A manifest with more members than a bundle can have is refused before any
// of them is looked for.
func TestTooManyMembers(t *testing.T) {
	contents := make([]string, 200)
	for i := range contents {
		contents[i] = artifact.SHA256Of([]byte{byte(i)}).Hex()
	}
	if r := verify(t, write(t, small(t, key(1), contents...)), bundle.Options{}); !r.Intact() || r.Items != 200 {
		t.Errorf("200 items: %+v", r)
	}
}
