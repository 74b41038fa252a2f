package oms

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Source is a model that was observed already, so that [VerifyManifest] need
// not hash it again.
type Source struct {
	// Path is the model as the operator named it.
	Path string
	// Manifest has the paths as a signature names them.
	Manifest *manifest.Manifest
	// Tree is the directory that Locate's results are below; empty means the
	// model itself, or the directory of a model that is one file.
	Tree string
	// Locate returns where a path of the manifest is below Tree; nil means at
	// that path. A layout that keeps content elsewhere, such as a hub cache,
	// has to answer for where it leads: its answers are read as files of the
	// model, within Tree.
	Locate func(path string) string
}

// VerifyManifest is [Verify] for a model that was observed already. Files are
// read only where the manifest's digests do not answer: shards, and hashes
// other than SHA-256. Those that changed since they were observed give the
// verdict Error, not a comparison of two states.
func VerifyManifest(ctx context.Context, s Source, o VerifyOptions) (*Result, error) {
	return verify(ctx, s, o)
}

// observe returns the manifest of the model.
func (v *verification) observe(ctx context.Context) (*manifest.Manifest, error) {
	if v.source.Manifest != nil {
		return v.source.Manifest, nil
	}
	return manifest.Take(ctx, v.path, manifest.Options{Workers: v.Workers, Progress: v.Progress})
}

// open opens what the paths of the manifest are read from.
func (v *verification) open() (*os.Root, func(string) string, error) {
	if v.source.Locate == nil {
		return openModel(v.path, v.isDir)
	}
	root, err := os.OpenRoot(cmp.Or(v.source.Tree, v.path))
	return root, v.source.Locate, err
}

// openTree opens where a signature inside the model is looked for.
func (f finder) openTree() (tree, error) {
	dir := f.path
	if f.source.Locate != nil {
		dir = cmp.Or(f.source.Tree, dir)
	}
	root, err := os.OpenRoot(dir)
	return tree{root: root, lim: f.lim, at: f.source.Locate}, err
}

// place is where a name of the model is below the root.
func (t tree) place(name string) string {
	if t.at == nil {
		return filepath.FromSlash(name)
	}
	return filepath.FromSlash(t.at(name))
}
