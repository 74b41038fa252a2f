package layout

import (
	"cmp"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// The parts of models--org--name in a hub cache (huggingface_hub, "Understand
// caching"). Files of a snapshot are links to blobs, a blob is named by the
// hash of its content, a ref holds the name of a commit.
const (
	blobsDir     = "blobs"
	snapshotsDir = "snapshots"
	refsDir      = "refs"
	// absentDir holds an empty file for each name that a loader asked for and
	// that the repository does not have. Loaders add to it as they run, and
	// only the name matters.
	absentDir = ".no_exist"
)

// detectHub looks at p and the directories above it. The last element is not
// followed: it may be a link of a snapshot.
func detectHub(p string) (Layout, bool) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(filepath.Clean(p)))
	if err != nil {
		return Layout{}, false
	}
	full, err := filepath.Abs(filepath.Join(dir, filepath.Base(filepath.Clean(p))))
	if err != nil {
		return Layout{}, false
	}
	for repo := full; repo != filepath.Dir(repo); repo = filepath.Dir(repo) {
		if name, ok := hubName(filepath.Base(repo)); ok && has(repo, blobsDir, fs.FileMode.IsDir) {
			return hubAt(p, repo, name, full)
		}
	}
	return Layout{}, false
}

func hubAt(p, repo, name, full string) (Layout, bool) {
	l := Layout{Kind: HubRepository, Path: p, Tree: repo, Repository: name}
	rel, err := filepath.Rel(repo, full)
	if err != nil {
		return Layout{}, false
	}
	parts := strings.Split(filepath.ToSlash(rel), "/")
	switch {
	case rel == ".":
		return l, has(repo, snapshotsDir, fs.FileMode.IsDir)
	case len(parts) >= 2 && parts[0] == snapshotsDir && isHex(parts[1], 40):
		l.Kind, l.Revision, l.within = HubSnapshot, parts[1], strings.Join(parts, "/")
		return l, true
	default:
		return Layout{}, false
	}
}

// hubName turns models--org--name into org/name.
func hubName(base string) (string, bool) {
	for _, kind := range []string{"models--", "datasets--", "spaces--"} {
		if name, ok := strings.CutPrefix(base, kind); ok && name != "" {
			return strings.Join(strings.Split(name, "--"), "/"), true
		}
	}
	return "", false
}

func isHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdef") == ""
}

// blobOf returns the blob that a link of a snapshot leads to, by the text of
// the link alone. Only blobs of the same repository count.
func blobOf(link artifact.File) (string, bool) {
	to, ok := resolve(link)
	name, inBlobs := strings.CutPrefix(to, blobsDir+"/")
	return to, ok && inBlobs && !strings.Contains(name, "/")
}

// selectHub returns what belongs to the model.
func (l Layout) selectHub(files []artifact.File) []artifact.File {
	if l.Kind == HubRepository {
		return slices.DeleteFunc(files, absent)
	}
	blobs := map[string]bool{}
	for _, f := range files {
		if blob, ok := blobOf(f); ok && f.Kind == artifact.Symlink && under(f.Path, l.within) {
			blobs[blob] = true
		}
	}
	return slices.DeleteFunc(files, func(f artifact.File) bool {
		return !blobs[f.Path] && !under(f.Path, l.within) && !under(f.Path, refsDir)
	})
}

// absent reports whether f only says that a file does not exist.
func absent(f artifact.File) bool {
	return under(f.Path, absentDir) && (f.Kind == artifact.Directory || f.Kind == artifact.Regular && f.Size == 0)
}

// concerns reports whether a problem of the walk is one of this snapshot.
func (l Layout) concerns(m *manifest.Manifest, p manifest.Problem) bool {
	if under(p.Path, l.within) || under(p.Path, refsDir) || p.Path == blobsDir || under(l.within, p.Path) || p.Kind == manifest.Name {
		return true
	}
	_, found := slices.BinarySearchFunc(m.Files, p.Path, func(f artifact.File, at string) int { return cmp.Compare(f.Path, at) })
	return found
}

// viewHub resolves the links of the snapshot.
func (l Layout) viewHub(m *manifest.Manifest) (*manifest.Manifest, func(string) string) {
	files := make(map[string]artifact.File, len(m.Files))
	for _, f := range m.Files {
		files[f.Path] = f
	}
	problems := map[string][]manifest.Problem{}
	for _, p := range m.Problems {
		problems[p.Path] = append(problems[p.Path], p)
	}
	view := &manifest.Manifest{Files: []artifact.File{}, Problems: []manifest.Problem{}}
	at, told := map[string]string{}, map[string]bool{}
	for _, f := range m.Files {
		name, inside := l.nameOf(f.Path)
		if !inside {
			continue
		}
		from := f.Path
		if blob, ok := blobOf(f); ok && f.Kind == artifact.Symlink && files[blob].Kind == artifact.Regular {
			f, from = files[blob], blob
		}
		f.Path, at[name] = name, from
		view.Files = append(view.Files, f)
		for _, p := range problems[from] {
			p.Path = name
			view.Problems = append(view.Problems, p)
		}
		told[from] = true
	}
	for from := range told {
		delete(problems, from)
	}
	l.restOfProblems(view, problems)
	return view, func(name string) string { return cmp.Or(at[name], path.Join(l.within, name)) }
}

// restOfProblems adds those of paths that are not among the files.
func (l Layout) restOfProblems(view *manifest.Manifest, problems map[string][]manifest.Problem) {
	for at, list := range problems {
		name, inside := l.nameOf(at)
		for _, p := range list {
			if inside || p.Kind == manifest.Walk && under(l.within, at) {
				p.Path = cmp.Or(name, path.Base(l.within))
				view.Problems = append(view.Problems, p)
			}
		}
	}
	slices.SortFunc(view.Problems, func(a, b manifest.Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
}

// nameOf returns the path of the tree as the model has it.
func (l Layout) nameOf(p string) (string, bool) {
	if p == l.within {
		return path.Base(p), true // the model is one file
	}
	return strings.CutPrefix(p, l.within+"/")
}
