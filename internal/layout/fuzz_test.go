package layout

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// What is accepted means the same to encoding/json, and every descriptor in it
// names a place among the blobs.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"mediaType":"x","digest":"sha256:` + strings.Repeat("0a", 32) + `","size":7}]}`))
	f.Add([]byte(`{"a":{"b":[1,2.5,true,null,"c"]},"a":1}`))
	f.Add([]byte(strings.Repeat(`{"a":`, 40)))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := parseObject(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted, and no JSON: %q", data)
		}
		var plain map[string]any
		if err := json.Unmarshal(data, &plain); err != nil || len(plain) != len(o) {
			t.Fatalf("%q: %d keys, and encoding/json has %d (%v)", data, len(o), len(plain), err)
		}
		members, err := o.objects("manifests")
		if err != nil {
			return
		}
		for _, m := range members {
			if d, err := parseDescriptor(m); err == nil && (d.size < 0 || artifact.CheckPath(d.path()) != nil || path.Dir(path.Dir(d.path())) != "blobs") {
				t.Fatalf("descriptor %+v leads to %q", d, d.path())
			}
		}
	})
}

// What is accepted is a tree of bounded size without aliases, in which every
// key is given once.
func FuzzYAML(f *testing.F) {
	f.Add([]byte("flavors:\n  sklearn: {pickled_model: model.pkl}\n"))
	f.Add([]byte("a: &a [1]\nb: *a\n"))
	f.Add([]byte("a: 1\na: 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxMLmodel {
			return
		}
		n, err := parseYAML(data)
		if err != nil {
			return
		}
		count := 0
		var walk func(n *yaml.Node)
		walk = func(n *yaml.Node) {
			if count++; n.Kind == yaml.AliasNode || count > maxNodes+1 {
				t.Fatalf("%q was accepted", data)
			}
			for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
				if value(n, n.Content[i].Value) != n.Content[i+1] {
					t.Fatalf("%q: key %q twice", data, n.Content[i].Value)
				}
			}
			for _, c := range n.Content {
				walk(c)
			}
		}
		walk(n)
	})
}

// A blob that a link leads to is one element below blobs, whatever the link.
func FuzzBlobOf(f *testing.F) {
	f.Add("snapshots/c/f", "../../blobs/x")
	f.Add("snapshots/c/f", "../../../models--b/blobs/x")
	f.Add("snapshots/c/f", "/blobs/x")
	f.Fuzz(func(t *testing.T, link, target string) {
		if artifact.CheckPath(link) != nil {
			return
		}
		to, ok := blobOf(artifact.File{Path: link, Kind: artifact.Symlink, Target: target})
		if ok && (path.Dir(to) != "blobs" || artifact.CheckPath(to) != nil) {
			t.Fatalf("%q -> %q leads to %q", link, target, to)
		}
	})
}
