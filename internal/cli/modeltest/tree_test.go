//go:build linux

package modeltest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tree is what a directory holds, to the last bit that undoing has to bring
// back: type, mode, owner, time of change, extended attributes and content.
type tree map[string]string

// look reads the tree at dir. A missing one is nil.
func look(dir string) (tree, error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	t := tree{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		t[name], err = describe(path, d)
		return err
	})
	return t, err
}

func describe(path string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	content := ""
	switch {
	case info.Mode().IsRegular():
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		content = fmt.Sprintf("%x", sha256.Sum256(data))
	case info.Mode()&fs.ModeSymlink != 0:
		if content, err = os.Readlink(path); err != nil {
			return "", err
		}
	}
	attributes, err := attributes(path)
	return fmt.Sprintf("%v %s %s %s", info.Mode(), info.ModTime().UTC().Format(time.RFC3339Nano), attributes, content), err
}

func attributes(path string) (string, error) {
	list := make([]byte, 4<<10)
	n, err := unix.Llistxattr(path, list)
	if errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var out []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 4<<10)
		m, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", err
		}
		out = append(out, fmt.Sprintf("%s=%q", name, value[:m]))
	}
	slices.Sort(out)
	return strings.Join(out, ","), nil
}

// contents returns the digests of the tree's files by name: all that a copy
// has in common with its source.
func (t tree) contents() map[string]string {
	out := map[string]string{}
	for name, text := range t {
		if strings.HasPrefix(text, "-") { // a regular file
			out[name] = text[strings.LastIndexByte(text, ' ')+1:]
		}
	}
	return out
}

// differ says where two trees differ, or "".
func differ(want, got tree) string {
	for _, name := range names(want, got) {
		if want[name] != got[name] {
			return fmt.Sprintf("%s: %q, and not %q", name, got[name], want[name])
		}
	}
	return ""
}

func names(trees ...tree) []string {
	var out []string
	for _, t := range trees {
		for name := range t {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// clone copies a tree with all that describe sees.
func clone(to, from string) error {
	var dirs []string
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dst := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			dirs = append(dirs, path)
			return os.Mkdir(dst, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, data, 0o600); err != nil {
			return err
		}
		return dress(dst, path)
	})
	for _, dir := range slices.Backward(dirs) { // a file made in it changes its time
		if err == nil {
			err = dress(to+strings.TrimPrefix(dir, from), dir)
		}
	}
	return err
}

// dress gives path the attributes, mode and time of like.
func dress(path, like string) error {
	info, err := os.Lstat(like)
	if err != nil {
		return err
	}
	value := make([]byte, 4<<10)
	if n, err := unix.Lgetxattr(like, attribute, value); err == nil {
		if err := unix.Lsetxattr(path, attribute, value[:n], 0); err != nil {
			return err
		}
	}
	if err := os.Chmod(path, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

// attribute is the extended attribute that files here have.
const attribute = "user.weightwarden.test"
