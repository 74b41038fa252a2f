package pyenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// maxEntries bounds the directory entries that are looked at in one
// site-packages directory.
const maxEntries = 100_000

// sites are where an environment keeps its packages, from its root.
var sites = []string{
	"lib/python3*/site-packages", "lib64/python3*/site-packages", "lib/python3*/dist-packages",
	"local/lib/python3*/dist-packages", "local/lib/python3*/site-packages", "Lib/site-packages",
}

// Read returns what is installed in dir, the root of an environment or a
// site-packages directory. Links that lead out of dir are not followed. What
// could not be read or understood is a problem of the environment, never an
// error.
func Read(ctx context.Context, dir string) *Environment {
	e := &Environment{Root: dir, Packages: []Package{}}
	s := session{ctx: ctx, env: e}
	s.open()
	slices.SortFunc(e.Packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path))
	})
	slices.SortStableFunc(e.Problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	return e
}

// session is the reading of one environment.
type session struct {
	ctx  context.Context
	env  *Environment
	root *os.Root
}

// problem notes what could not be read. The name is slash-separated and
// relative to the root of the environment.
func (s *session) problem(name, pkg, format string, args ...any) {
	s.env.Problems = append(s.env.Problems, Problem{
		Path: s.full(name), Package: pkg, Reason: fmt.Sprintf(format, args...),
	})
}

func (s *session) full(name string) string {
	return filepath.Join(s.env.Root, filepath.FromSlash(name))
}

func (s *session) open() {
	// os.OpenRoot would wait for the writer of a FIFO
	info, err := os.Stat(s.env.Root)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		s.root, err = os.OpenRoot(s.env.Root)
	}
	if err != nil {
		s.problem("", "", "%v", bare(err))
		return
	}
	defer s.root.Close()
	found := s.sites()
	if len(found) == 0 {
		s.problem("", "", "no site-packages directory in it")
	}
	s.env.Python = s.python(found)
	for _, site := range found {
		s.site(site)
	}
}

// sites returns the site-packages directories, "." when the root is one.
func (s *session) sites() []string {
	if base := filepath.Base(s.env.Root); base == "site-packages" || base == "dist-packages" {
		return []string{"."}
	}
	var found []string
	var seen []fs.FileInfo
	for _, pattern := range sites {
		matches, _ := fs.Glob(s.root.FS(), pattern) // the pattern is well-formed
		for _, m := range matches {
			info, err := s.root.Stat(m)
			if err != nil {
				s.problem(m, "", "%v", bare(err))
				continue
			}
			same := func(known fs.FileInfo) bool { return os.SameFile(known, info) }
			if info.IsDir() && !slices.ContainsFunc(seen, same) {
				found, seen = append(found, m), append(seen, info)
			}
		}
	}
	if bare, _ := fs.Glob(s.root.FS(), "*.dist-info"); len(found) == 0 && len(bare) > 0 {
		return []string{"."} // as "pip install --target" leaves it
	}
	return found
}

var (
	cfgVersion = regexp.MustCompile(`(?m)^version(?:_info)?\s*=\s*([0-9]+(?:\.[0-9]+){1,3})`)
	dirVersion = regexp.MustCompile(`(?:^|/)python(3(?:\.[0-9]+)?)(?:/|$)`)
)

// python returns the version that pyvenv.cfg names, else the one in the path
// of the first site-packages directory.
func (s *session) python(found []string) string {
	if f, err := s.regular("pyvenv.cfg"); err == nil {
		defer f.Close()
		text, _ := io.ReadAll(io.LimitReader(f, 16<<10)) // what is not read is not there
		if m := cfgVersion.FindSubmatch(text); m != nil {
			return string(m[1])
		}
	}
	for _, site := range found {
		if m := dirVersion.FindStringSubmatch(filepath.ToSlash(s.full(site))); m != nil {
			return m[1]
		}
	}
	return ""
}

// site reads the records of one site-packages directory.
func (s *session) site(site string) {
	dir, err := s.root.Open(site)
	if err != nil {
		s.problem(site, "", "%v", bare(err))
		return
	}
	defer dir.Close()
	for n := 0; ; {
		entries, err := dir.ReadDir(512)
		for _, e := range entries {
			s.record(site, e)
		}
		n += len(entries)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err == nil:
			err = s.ctx.Err()
		}
		if err == nil && n > maxEntries {
			err = fmt.Errorf("more than %d entries", maxEntries)
		}
		if err != nil {
			s.problem(site, "", "%v", bare(err))
			return
		}
	}
}

// record reads one entry of a site-packages directory if it is the record of
// a package. Python recognises them in upper case too.
func (s *session) record(site string, entry fs.DirEntry) {
	name := path.Join(site, entry.Name())
	base, suffix := cutSuffix(entry.Name())
	label, version := labels(base, suffix)
	switch suffix {
	case ".dist-info":
		s.metadata(name, path.Join(name, "METADATA"), label, version)
	case ".egg-info":
		if info, err := s.root.Stat(name); err == nil && info.Mode().IsRegular() {
			s.metadata(name, name, label, "")
			return
		}
		s.metadata(name, path.Join(name, "PKG-INFO"), label, "")
	case ".egg", ".egg-link":
		s.problem(name, NormalizeName(label), "packages installed as %s are not read", suffix[1:])
	}
}

// cutSuffix splits the name of a record from what kind of record it is.
func cutSuffix(name string) (base, suffix string) {
	for _, suffix := range []string{".dist-info", ".egg-info", ".egg", ".egg-link"} {
		if n := len(name) - len(suffix); n >= 0 && strings.EqualFold(name[n:], suffix) {
			return name[:n], suffix
		}
	}
	return name, ""
}

// labels returns the package's name and version as the record's own name has
// them. A dist-info is name-version with "-" escaped in both, but old tools
// did not escape the name; an egg-info is name[-version[-pyX.Y[-platform]]].
func labels(base, suffix string) (name, version string) {
	if suffix == ".dist-info" {
		if i := strings.LastIndexByte(base, '-'); i >= 0 {
			return base[:i], base[i+1:]
		}
		return base, ""
	}
	name, version, _ = strings.Cut(base, "-")
	return name, version
}

// metadata reads the file of a record. The package goes by the name in the
// file, as it does for pip; a record whose own name says something else is a
// problem beside.
func (s *session) metadata(record, file, label, version string) {
	pkg := NormalizeName(label)
	f, err := s.regular(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.problem(record, pkg, "%s is missing", path.Base(file))
		return
	case err != nil:
		s.problem(file, pkg, "%v", bare(err))
		return
	}
	defer f.Close()
	m, err := ReadMetadata(f, Limits{})
	if err != nil {
		s.problem(file, pkg, "%v", err)
	}
	if m.Name == "" || m.Version == "" {
		return
	}
	name := NormalizeName(m.Name)
	s.env.Packages = append(s.env.Packages, Package{Name: name, Version: m.Version, Path: s.full(record)})
	if name != pkg {
		s.problem(record, pkg, "its metadata name the package %q", m.Name)
	}
	if version != "" && !SameVersion(strings.ReplaceAll(version, "_", "-"), m.Version) && !SameVersion(version, m.Version) {
		s.problem(record, pkg, "its metadata name the version %q", m.Version)
	}
}

// regular opens a regular file below the root. It does not wait for the writer
// of a FIFO, even one put there after the first look.
func (s *session) regular(name string) (*os.File, error) {
	info, err := s.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("is a %s, not a file", artifact.KindOf(info.Mode()))
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errors.New("is not a file any more"), err, f.Close())
	}
	return f, nil
}

// bare returns err without the path, which stands beside it.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
