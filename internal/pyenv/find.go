package pyenv

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// variables name the root of an environment each.
var variables = []string{"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONUSERBASE"}

// places are where distributions, administrators and images put packages,
// from the root of the file system.
var places = []string{
	"usr/lib/python3*/dist-packages",
	"usr/lib/python3*/site-packages",
	"usr/lib64/python3*/site-packages",
	"usr/local/lib/python3*/dist-packages",
	"usr/local/lib/python3*/site-packages",
	"usr/local/lib64/python3*/site-packages",
	"opt/*/lib/python3*/site-packages",
	"opt/*/envs/*/lib/python3*/site-packages",
}

// Find returns the Python environments of the host whose file system is at
// root, for a configuration that names none: those of the environment
// variables VIRTUAL_ENV, CONDA_PREFIX and PYTHONUSERBASE, of the user's own
// site, and of the usual places. Only what exists is returned, each once, in
// an order that does not change. A directory on the way that cannot be listed
// is returned too, so that [Read] says why. Links are followed.
func Find(ctx context.Context, root string, getenv func(string) string) []string {
	f := finder{ctx: ctx, root: root}
	for _, name := range variables {
		if dir := getenv(name); filepath.IsAbs(dir) {
			f.expand("", strings.TrimPrefix(filepath.ToSlash(filepath.Clean(dir)), "/"), false)
		}
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		base := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(home)), "/")
		f.expand(base, ".local/lib/python3*/site-packages", true)
	}
	for _, place := range places {
		f.expand("", place, true)
	}
	return f.out
}

type finder struct {
	ctx  context.Context
	root string
	out  []string
	seen []fs.FileInfo
}

// expand adds what pattern matches below dir. Both are relative to root.
// Pattern elements are matched only when they are ours: a variable's value is
// a path even if it has stars.
func (f *finder) expand(dir, pattern string, ours bool) {
	if f.ctx.Err() != nil {
		return
	}
	if pattern == "" {
		f.add(dir)
		return
	}
	first, rest, _ := strings.Cut(pattern, "/")
	if !ours || !strings.Contains(first, "*") {
		f.expand(path.Join(dir, first), rest, ours)
		return
	}
	entries, err := os.ReadDir(filepath.Join(f.root, filepath.FromSlash(dir)))
	if err != nil && !absent(err) {
		f.add(dir)
	}
	for _, e := range entries {
		if ok, _ := path.Match(first, e.Name()); ok {
			f.expand(path.Join(dir, e.Name()), rest, ours)
		}
	}
}

// add takes a directory that exists and is not known under another name.
func (f *finder) add(dir string) {
	full := filepath.Join(f.root, filepath.FromSlash(dir))
	info, err := os.Stat(full)
	switch {
	case absent(err), err == nil && !info.IsDir():
		return
	case err == nil && slices.ContainsFunc(f.seen, func(known fs.FileInfo) bool { return os.SameFile(known, info) }):
		return
	case err == nil:
		f.seen = append(f.seen, info)
	}
	if !slices.Contains(f.out, full) {
		f.out = append(f.out, full)
	}
}

// absent reports whether err says that there is nothing at a path. A file in
// place of a directory on the way is nothing, too.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
