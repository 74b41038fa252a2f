package oms

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Where signatures are looked for in a model, and how the guide names them.
const (
	bundleName   = "model.sig"
	guideDir     = ".signatures"
	manifestName = "manifest.json"
)

// manifestSignatures are the names of the guide's signature, by precedence.
var manifestSignatures = []string{"manifest.sig", "manifest.json.sig"}

// errUnsigned says that there is no signature.
var errUnsigned = errors.New("not signed")

// located is a signature that was found and read.
type located struct {
	data     []byte // a bundle, or a blob manifest
	isBlob   bool
	blobSig  []byte // the signature over a blob manifest
	inside   []string
	material []string
}

// finder looks for the signature of the model at path.
type finder struct {
	path  string
	isDir bool
	lim   Limits
	// source says where names inside the model are.
	source Source
}

// find reads the signature at the path given, or at the places where it
// belongs. Inside the model no link is followed: what is found there was put
// there by whoever made the model.
func (f finder) find(given string) (*located, error) {
	switch {
	case given != "":
		return f.given(given)
	case !f.isDir:
		return f.given(f.path + ".sig")
	}
	tree, err := f.openTree()
	if err != nil {
		return nil, fmt.Errorf("open model: %w", cause(err))
	}
	defer tree.root.Close()
	if tree.has(bundleName) {
		data, err := tree.read(bundleName, f.lim.Bundle)
		return &located{data: data, inside: []string{bundleName}, material: []string{bundleName}}, err
	}
	if tree.has(guideDir + "/" + manifestName) {
		l, err := tree.blob(guideDir + "/")
		if err == nil {
			l.inside = slices.Clone(l.material)
		}
		return l, err
	}
	return nil, fmt.Errorf("there is no %s and no %s/%s in the model: %w", bundleName, guideDir, manifestName, errUnsigned)
}

// given reads a signature that the operator named. Its directory is opened as
// the operator's, links included.
func (f finder) given(path string) (*located, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, manifestName)
	}
	dir, base := filepath.Split(path)
	t := tree{dir: dir, lim: f.lim}
	var l *located
	var err error
	if base == manifestName || slices.Contains(manifestSignatures, base) {
		l, err = t.blob("", base)
	} else {
		var data []byte
		data, err = t.read(base, f.lim.Bundle)
		l = &located{data: data, material: []string{base}}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no signature at %s: %w", artifact.Quote(path), errUnsigned)
	}
	if err != nil {
		return nil, err
	}
	f.place(l, dir)
	return l, nil
}

// place turns the names in l.material, which are in dir, into paths relative
// to the model where they are inside it.
func (f finder) place(l *located, dir string) {
	for i, name := range l.material {
		l.material[i] = filepath.Join(dir, name)
		rel, ok := insideModel(f.path, l.material[i])
		if !ok || !f.isDir {
			continue
		}
		// A link is no signature file: it stays what it is in any model.
		if info, err := os.Lstat(l.material[i]); err == nil && info.Mode().IsRegular() {
			l.inside = append(l.inside, rel)
		}
		l.material[i] = rel
	}
}

// insideModel returns where path is in the directory model, if it is.
func insideModel(model, path string) (string, bool) {
	realModel, err := resolve(model)
	if err != nil {
		return "", false
	}
	realDir, err := resolve(filepath.Dir(path))
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(realModel, filepath.Join(realDir, filepath.Base(path)))
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// tree reads signature files, in a model (root) or in the operator's own
// directory (dir, "" for the current one).
type tree struct {
	root *os.Root
	dir  string
	lim  Limits
	at   func(string) string // see [Source]; nil for names as they are
}

// stat does not follow a link in a model, and does in the operator's directory.
func (t tree) stat(name string) (fs.FileInfo, error) {
	if t.root != nil {
		return t.root.Lstat(t.place(name))
	}
	return os.Stat(filepath.Join(t.dir, name))
}

// has also holds for what exists and cannot be examined: that must not pass
// for an unsigned model.
func (t tree) has(name string) bool {
	_, err := t.stat(name)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// blob reads the guide's two files. A preferred signature is used when it is
// named, else the first that exists.
func (t tree) blob(prefix string, preferred ...string) (*located, error) {
	name := ""
	for _, s := range manifestSignatures {
		if slices.Contains(preferred, s) || name == "" && t.has(prefix+s) {
			name = s
		}
	}
	if name == "" {
		return nil, fmt.Errorf("%s is not signed: there is neither %s nor %s beside it: %w",
			manifestName, manifestSignatures[0], manifestSignatures[1], errUnsigned)
	}
	data, err := t.read(prefix+manifestName, t.lim.Bundle)
	if err != nil {
		return nil, err
	}
	sig, err := t.read(prefix+name, blobSignatureLimit)
	if err != nil {
		return nil, err
	}
	return &located{data: data, isBlob: true, blobSig: sig, material: []string{prefix + manifestName, prefix + name}}, nil
}

// read returns the content of a regular file of at most limit bytes.
func (t tree) read(name string, limit int64) ([]byte, error) {
	data, err := t.readAll(name, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", artifact.Quote(name), cause(err))
	}
	return data, nil
}

func (t tree) readAll(name string, limit int64) ([]byte, error) {
	info, err := t.stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is a %s, not a file: %w", artifact.KindOf(info.Mode()), ErrRefused)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%d bytes, and %d are allowed: %w", info.Size(), limit, ErrLimit)
	}
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		return nil, errors.Join(errors.New("it was replaced while it was opened"), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %d bytes: %w", limit, ErrLimit)
	}
	return data, err
}

// open does not wait for the writer of a FIFO that took the file's place.
func (t tree) open(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if t.root != nil {
		return t.root.OpenFile(t.place(name), flags, 0)
	}
	return os.OpenFile(filepath.Join(t.dir, name), flags, 0)
}

// cause takes the path out of an error of package os, where it stands
// unquoted.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
