// Package layout knows the forms in which models are deployed: a directory, a
// file, a Hugging Face hub cache, an OCI image layout, an MLflow model, the
// directory that KServe serves. It says which part of a disk a model is, shows
// what the form itself tells about it, and verifies what the form promises:
// where content is named by its hash, that the hash is right.
//
// It knows nothing of signatures and of baselines. What matches its name was
// made by somebody who knew how to name it, no more: whoever can write a blob
// can name it. It unpacks nothing, so what is inside a layer is not looked at,
// and of an MLmodel file it knows only the paths that the file format defines.
package layout

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// Kind is a form of deployment.
type Kind string

// The kinds.
const (
	Directory Kind = "directory"
	File      Kind = "file"
	// HubRepository is a whole models--org--name directory of a Hugging Face
	// hub cache, HubSnapshot one revision in it, a directory or file of one.
	HubRepository Kind = "huggingface_repository"
	HubSnapshot   Kind = "huggingface_snapshot"
	// KServe is the directory that its storage initializer fills.
	KServe Kind = "kserve"
	MLflow Kind = "mlflow"
	// OCI is an OCI image layout, as ModelPack and KitOps use it.
	OCI Kind = "oci_image_layout"
)

// Layout is how one model is deployed. The zero value is not usable; see
// [Detect].
type Layout struct {
	Kind Kind   `json:"kind"`
	Path string `json:"-"`
	// Tree is the directory that the paths of [Layout.Take]'s manifest are
	// relative to. Only of a hub snapshot is it not the model's own directory.
	Tree string `json:"tree,omitempty"`
	// Repository is org/name, Revision a commit, of a hub cache.
	Repository string `json:"repository,omitempty"`
	Revision   string `json:"revision,omitempty"`
	// Mounted says that a file system is mounted exactly at the path.
	Mounted bool `json:"mounted,omitempty"`

	within string // of a hub snapshot: where in Tree the model is
}

// Detect recognises the layout of the model at p. It never fails: what cannot
// be examined is taken for a directory, and [Layout.Take] says what is wrong.
func Detect(p string) Layout {
	if l, ok := detectHub(p); ok {
		return l
	}
	resolved, err := filepath.EvalSymlinks(p)
	if err != nil {
		return Layout{Kind: Directory, Path: p, Tree: p}
	}
	if l, ok := detectHub(resolved); ok {
		l.Path = p
		return l
	}
	l := Layout{Kind: Directory, Path: p, Tree: p, Mounted: mounted(resolved)}
	switch {
	case has(resolved, "", fs.FileMode.IsRegular):
		l.Kind, l.Tree = File, filepath.Dir(p)
	case has(resolved, ociLayoutFile, fs.FileMode.IsRegular):
		l.Kind = OCI
	case has(resolved, mlmodelFile, fs.FileMode.IsRegular):
		l.Kind = MLflow
	case served(p) || served(resolved):
		l.Kind = KServe
	}
	return l
}

// has reports whether there is a path of that mode at name below dir. Links
// are not followed below dir.
func has(dir, name string, is func(fs.FileMode) bool) bool {
	info, err := os.Lstat(filepath.Join(dir, name))
	return err == nil && is(info.Mode())
}

// served reports whether p is where KServe mounts models: /mnt/models, or one
// of several models below it.
func served(p string) bool {
	abs, err := filepath.Abs(p)
	return err == nil && (abs == kservePath || strings.HasPrefix(abs, kservePath+"/"))
}

const kservePath = "/mnt/models"

// Take observes the model by the rules of [manifest.Take]. The paths are
// relative to Tree: of a hub snapshot these are the links of the revision, the
// blobs they lead to and the refs.
func (l Layout) Take(ctx context.Context, o manifest.Options) (*manifest.Manifest, error) {
	m, err := manifest.Take(ctx, l.tree(&o), o)
	if err != nil {
		return nil, err
	}
	return l.relevant(m), nil
}

// Recheck observes the model by the rules of [manifest.Recheck], where base is
// what Take returned.
func (l Layout) Recheck(ctx context.Context, base *manifest.Manifest, b *manifest.Blocks, o manifest.Options) (*manifest.Rechecked, error) {
	r, err := manifest.Recheck(ctx, l.tree(&o), base, b, o)
	if err != nil {
		return nil, err
	}
	r.Manifest = l.relevant(r.Manifest)
	return r, nil
}

// Locate finds out which bytes of files differ by the rules of
// [manifest.Locate], where base is what Take returned.
func (l Layout) Locate(ctx context.Context, base *manifest.Manifest, b *manifest.Blocks, paths []string, o manifest.Options) (map[string][]manifest.Range, error) {
	return manifest.Locate(ctx, l.tree(&o), base, b, paths, o)
}

// tree returns where to walk, and lets o select what belongs to the model.
func (l Layout) tree(o *manifest.Options) string {
	if l.Kind != HubRepository && l.Kind != HubSnapshot {
		return l.Path
	}
	if _, err := os.Lstat(l.Path); errors.Is(err, fs.ErrNotExist) {
		return l.Path // the walk says so
	}
	o.Select = l.selectHub
	return l.Tree
}

// relevant leaves out of m the problems of other snapshots.
func (l Layout) relevant(m *manifest.Manifest) *manifest.Manifest {
	if l.Kind == HubSnapshot {
		m.Problems = slices.DeleteFunc(m.Problems, func(p manifest.Problem) bool { return !l.concerns(m, p) })
	}
	return m
}

// Source is the path that the manifest's paths belong to: Tree for a hub cache,
// the model's own for everything else.
func (l Layout) Source() string {
	if l.Kind == HubRepository || l.Kind == HubSnapshot {
		return l.Tree
	}
	return l.Path
}

// View is the manifest of the model as whoever loads it sees it: of a hub
// snapshot the files under their own names, with the content of the blobs that
// the layout's links lead to. Any other link stays a link. Of all other
// layouts it is m. Locate returns where a file of the view is below Tree.
func (l Layout) View(m *manifest.Manifest) (view *manifest.Manifest, locate func(string) string) {
	if l.Kind != HubSnapshot {
		return m, func(name string) string { return name }
	}
	return l.viewHub(m)
}

// Class says how a [Problem] counts.
type Class string

// The classes.
const (
	// Contradiction is a structure that contradicts itself.
	Contradiction Class = "contradiction"
	// Unverified is something that the layout should vouch for and does not.
	Unverified Class = "unverified"
	// Note is worth knowing and nothing bad.
	Note Class = "note"
)

// Problem is something wrong with the structure. Path is relative to Tree.
type Problem struct {
	Path   string `json:"path"`
	Class  Class  `json:"class"`
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
}

// The kinds of mismatch.
const (
	Modified = "modified"
	Missing  = "missing"
)

// Mismatch is content that is not what names it.
type Mismatch struct {
	// File is a path relative to Tree.
	File string `json:"file"`
	// Names are the files of the model that have this content, where these
	// are others.
	Names []string `json:"names,omitempty"`
	// Kind is modified or missing.
	Kind string `json:"kind"`
	// Algorithm is the hash in both: sha256, sha512, or git-sha1, the name
	// that git gives to content.
	Algorithm    string `json:"algorithm"`
	ExpectedHash string `json:"expected_hash"`
	ActualHash   string `json:"actual_hash"`
	Reason       string `json:"reason"`
}

// Content is one file that an OCI image layout carries.
type Content struct {
	Title     string `json:"title,omitempty"`
	MediaType string `json:"media_type"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// Report is a layout with what verifying it showed.
type Report struct {
	Layout
	// Verified is the number of files whose content is what names it.
	Verified   int        `json:"verified_files"`
	Mismatches []Mismatch `json:"mismatches"`
	Problems   []Problem  `json:"problems"`
	// Flavors are those of an MLflow model, sorted.
	Flavors []string `json:"flavors,omitempty"`
	// Contents are what the manifests of an OCI image layout list.
	Contents []Content `json:"contents,omitempty"`
}

// Sound reports whether nothing contradicts itself.
func (r *Report) Sound() bool {
	return len(r.Mismatches) == 0 && !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Class == Contradiction })
}

// Verify checks what the layout itself promises, with the digests in m, which
// [Layout.Take] returned. Files are read again only where their names are
// hashes of another kind, and lists that have to be understood. The error is
// ctx's; all other trouble is in the report.
func (l Layout) Verify(ctx context.Context, m *manifest.Manifest) (*Report, error) {
	v := newVerification(l, m)
	var err error
	switch l.Kind {
	case HubRepository, HubSnapshot:
		err = v.hub(ctx)
	case OCI:
		err = v.oci(ctx)
	case MLflow:
		v.mlflow()
	case Directory, File, KServe:
	}
	if err != nil {
		return nil, err
	}
	return v.finish(), nil
}

// finish puts the report in order.
func (v *verification) finish() *Report {
	slices.SortFunc(v.out.Mismatches, func(a, b Mismatch) int { return cmp.Compare(a.File, b.File) })
	slices.SortFunc(v.out.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	v.out.Problems = slices.Compact(v.out.Problems)
	return v.out
}

// under reports whether p is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// resolve returns where a link at p leads, by its text alone, and whether that
// is inside the tree.
func resolve(link artifact.File) (string, bool) {
	if path.IsAbs(link.Target) {
		return "", false
	}
	to := path.Join(path.Dir(link.Path), link.Target)
	return to, artifact.CheckPath(to) == nil
}
