package oms

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// comparison is claims against what is on disk.
type comparison struct {
	*verification
	claims   *claims
	ignore   pathSet
	inside   pathSet // files of the signature itself
	listed   map[string]bool
	files    map[string]artifact.File
	unread   map[string]manifest.Problem // files without a digest
	unlisted map[string]manifest.Problem // directories, or what might be one
	root     *os.Root
	rootName func(string) string // a path of the model as root has it
}

// compare reads the model and compares it with c. The error is ctx's.
func (v *verification) compare(ctx context.Context, c *claims, inside []string) error {
	m, err := v.observe(ctx)
	if err != nil {
		return v.noModel(ctx, err)
	}
	if c.single && !v.isDir {
		c.files[0].path = filepath.Base(v.path)
	}
	cmp := comparison{verification: v, claims: c, inside: newPathSet(inside)}
	cmp.ignore = newPathSet(slices.Concat(v.IgnorePaths, c.ignore, c.git(v.isDir && !v.KeepGitPaths)))
	cmp.index(m)
	if cmp.root, cmp.rootName, err = v.open(); err != nil {
		return v.noModel(ctx, err)
	}
	defer cmp.root.Close()
	for _, f := range c.files {
		if err := cmp.claim(ctx, f); err != nil {
			return err
		}
	}
	cmp.rest(m)
	cmp.finish()
	return nil
}

func (v *verification) noModel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.fail(fmt.Errorf("read model: %w", cause(err)))
	return nil
}

// openModel opens the directory that a model is in, or is.
func openModel(path string, isDir bool) (*os.Root, func(string) string, error) {
	if isDir {
		root, err := os.OpenRoot(path)
		return root, func(p string) string { return p }, err
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(file))
	return root, func(string) string { return filepath.Base(file) }, err
}

// git returns the paths that OMS leaves out of every directory. A blob
// manifest leaves nothing out.
func (c *claims) git(wanted bool) []string {
	if !wanted || !c.gitIgnored {
		return nil
	}
	return gitPaths
}

func (c *comparison) index(m *manifest.Manifest) {
	c.listed = make(map[string]bool, len(c.claims.files))
	for _, f := range c.claims.files {
		c.listed[f.path] = true
	}
	c.files = make(map[string]artifact.File, len(m.Files))
	for _, f := range m.Files {
		c.files[f.Path] = f
	}
	c.unread, c.unlisted = map[string]manifest.Problem{}, map[string]manifest.Problem{}
	for _, p := range m.Problems {
		switch p.Kind {
		case manifest.Unreadable, manifest.Unstable:
			c.unread[p.Path] = p
		case manifest.Walk:
			c.unlisted[p.Path] = p
		default:
		}
	}
}

func (c *comparison) mismatch(file, kind string, expected, actual artifact.Digest) {
	c.out.Mismatches = append(c.out.Mismatches, Mismatch{file, kind, expected.String(), actual.String()})
}

func (c *comparison) unreadable(p manifest.Problem) {
	c.fail(fmt.Errorf("%s: %s", artifact.Quote(p.Path), p.Reason))
}

// claim compares one signed file.
func (c *comparison) claim(ctx context.Context, want claim) error {
	expected := want.shards[0].digest
	f, ok := c.files[want.path]
	switch {
	case !ok && c.hidden(want.path):
	case !ok:
		c.mismatch(want.path, KindMissing, expected, artifact.Digest{})
	case f.Kind == artifact.Symlink && !c.linkAccepted(want.path):
		c.mismatch(want.path, KindSymlink, expected, artifact.Digest{})
	case f.Kind == artifact.Directory:
		c.mismatch(want.path, KindMissing, expected, artifact.Digest{})
	case f.Kind != artifact.Symlink && f.Kind != artifact.Regular:
		c.mismatch(want.path, KindModified, expected, artifact.Digest{})
	case f.Kind == artifact.Regular && f.Digest.IsZero():
		c.unreadable(c.unread[want.path])
	case f.Kind == artifact.Regular && want.plainSHA256():
		c.covered(f)
		if f.Digest != expected {
			c.mismatch(want.path, KindModified, expected, f.Digest)
		}
	default:
		return c.content(ctx, want, f)
	}
	return nil
}

func (c *comparison) covered(f artifact.File) {
	c.out.Covered = append(c.out.Covered, f)
	c.out.Files++
	c.out.Bytes += f.Size
}

// hidden reports that path may exist, below a directory that could not be
// listed.
func (c *comparison) hidden(path string) bool {
	for p := path; ; p = p[:strings.LastIndexByte(p, '/')] {
		if problem, ok := c.unlisted[p]; ok {
			c.unreadable(problem)
			return true
		}
		if !strings.Contains(p, "/") {
			return false
		}
	}
}

// linkAccepted reports whether a signed name may be the link that it is: the
// operator allows links, and this one leads to a regular file inside.
func (c *comparison) linkAccepted(path string) bool {
	info, err := c.root.Stat(c.rootName(path))
	return c.AllowSymlinks && err == nil && info.Mode().IsRegular()
}

// content reads a file that the manifest engine's digest says nothing about:
// one behind a link, in shards, or signed with another hash.
func (c *comparison) content(ctx context.Context, want claim, f artifact.File) error {
	got, err := readClaim(ctx, c.root, c.rootName(want.path), want)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		c.fail(fmt.Errorf("%s: %w", artifact.Quote(want.path), cause(err)))
		return nil
	case f.Kind == artifact.Regular && got.sha256 != f.Digest:
		c.fail(fmt.Errorf("%s: the file changed while it was read", artifact.Quote(want.path)))
		return nil
	}
	if f.Kind == artifact.Symlink {
		f.Size = got.size
	}
	c.covered(f)
	if got.differs {
		c.mismatch(want.path, KindModified, got.expected, got.actual)
	}
	return nil
}

// rest goes through what is on disk and not in the claims.
func (c *comparison) rest(m *manifest.Manifest) {
	for _, f := range m.Files {
		empty := c.claims.emptyHidden && f.Kind == artifact.Regular && f.Size == 0
		switch {
		case c.listed[f.Path], f.Kind == artifact.Directory, c.inside.has(f.Path):
		case empty, c.ignore.covers(f.Path):
			c.out.Uncovered = append(c.out.Uncovered, f.Path)
		case f.Kind == artifact.Symlink:
			c.mismatch(f.Path, KindSymlink, artifact.Digest{}, artifact.Digest{})
		default:
			c.mismatch(f.Path, KindUnexpected, artifact.Digest{}, f.Digest)
		}
	}
	for _, p := range m.Problems {
		c.problem(p)
	}
}

// problem accounts for paths that are not among the files: names that are no
// paths of a model, and directories that could not be listed.
func (c *comparison) problem(p manifest.Problem) {
	switch p.Kind {
	case manifest.Name:
		name, err := strconv.Unquote(p.Path)
		if _, ok := c.files[name]; ok && err == nil {
			return // a link, judged by its own name
		}
		if err == nil && c.ignore.covers(name) {
			c.out.Uncovered = append(c.out.Uncovered, p.Path)
			return
		}
		c.mismatch(p.Path, KindUnexpected, artifact.Digest{}, artifact.Digest{})
	case manifest.Walk:
		if c.ignore.covers(p.Path) {
			c.out.Uncovered = append(c.out.Uncovered, p.Path)
			return
		}
		c.unreadable(p)
	default: // of a file, judged with it
	}
}

func (c *comparison) finish() {
	slices.Sort(c.out.Uncovered)
	c.out.Uncovered = slices.Compact(c.out.Uncovered)
	slices.SortFunc(c.out.Covered, func(a, b artifact.File) int { return strings.Compare(a.Path, b.Path) })
	if c.claims.root.IsZero() && c.signed {
		c.out.RootDigest = rootPython(c.out.Covered)
	}
}

// rootPython is the root digest of regular files in the order of the reference
// implementation, zero for none.
func rootPython(files []artifact.File) artifact.Digest {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b artifact.File) int { return comparePython(a.Path, b.Path) })
	var root rootDigest
	for _, f := range sorted {
		root.add(f.Digest)
	}
	if len(sorted) == 0 {
		return artifact.Digest{}
	}
	return root.digest()
}

// pathSet is a set of paths, each with everything below it.
type pathSet map[string]bool

func newPathSet(paths []string) pathSet {
	s := make(pathSet, len(paths))
	for _, p := range paths {
		s[p] = true
	}
	return s
}

func (s pathSet) has(path string) bool { return s[path] }

// covers reports whether path or a directory above it is in the set.
func (s pathSet) covers(path string) bool {
	for !s[path] {
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return false
		}
		path = path[:i]
	}
	return true
}
