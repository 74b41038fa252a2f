package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// params is all that a step needs. Every step of a plan carries the same
// value, so that each can tell how far the plan has come.
type params struct {
	// Serving is the path that the model is served from.
	Serving string `json:"serving"`
	// Work is the work directory; empty in steps that only mark.
	Work string `json:"work,omitempty"`
	// Place is the newcomer's path below Work before the exchange, and the
	// displaced directory's after it.
	Place string `json:"place,omitempty"`
	// Displaced is what was at Serving when the plan was made; zero when
	// nothing was.
	Displaced fsop.ID `json:"displaced,omitzero"`
	// Files is exactly what the newcomer holds, sorted by path.
	Files []entry `json:"files,omitempty"`
	// Source is the directory that Files are copied from. Empty for a
	// marker, whose only file holds Text.
	Source string `json:"source,omitempty"`
	Text   string `json:"text,omitempty"`
}

// entry is one file of a tree.
type entry struct {
	Path   string          `json:"path"`
	Size   int64           `json:"size"`
	SHA256 artifact.Digest `json:"sha256"`
}

func (p params) partial() string { return p.Place + ".partial" }
func (p params) stamp() string   { return p.Place + ".stamp" }
func (p params) aside() string   { return p.Place + ".aside" }
func (p params) lock() string    { return filepath.Join(p.Work, ".lock") }
func (p params) marker() string  { return p.Serving + "." + MarkerName }

func (p params) encode() json.RawMessage {
	data, err := json.Marshal(p)
	if err != nil {
		panic("parameters are always encodable: " + err.Error()) // strings and numbers
	}
	return data
}

// decode reads the parameters of a step. They come from a plan that people
// approved by its hash; that they make sense is checked all the same.
func decode(s action.Step) (params, error) {
	var p params
	dec := json.NewDecoder(bytes.NewReader(s.Params))
	dec.DisallowUnknownFields()
	err := dec.Decode(&p)
	if err == nil {
		err = p.check(s.Kind)
	}
	if err != nil {
		return params{}, fault.New(fault.Invalid, "read parameters of step %s: %w", artifact.Quote(s.ID), err).
			WithHint("make a new plan")
	}
	return p, nil
}

func (p params) check(kind string) error {
	if err := checkAbsolute(p.Serving); err != nil {
		return err
	}
	switch kind {
	case kindMark, kindUnmark:
		if p.Work != "" {
			return errors.New("a work directory in a step that marks")
		}
		return nil
	case KindPrepare, kindStage, kindDiscard, kindExchange, kindBack:
	default:
		return noSuchKind(kind)
	}
	if err := errors.Join(checkAbsolute(p.Work), checkAbsolute(p.Place)); err != nil {
		return err
	}
	if filepath.Dir(p.Place) != p.Work {
		return fmt.Errorf("%s is not in the work directory", artifact.Quote(p.Place))
	}
	if p.Source != "" {
		if err := checkAbsolute(p.Source); err != nil {
			return err
		}
	}
	return checkEntries(p.Files)
}

func checkAbsolute(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsRune(path, 0) || filepath.Dir(path) == path {
		return fmt.Errorf("path %q: must be absolute, in its shortest form, and not the root", path)
	}
	return nil
}

func checkEntries(files []entry) error {
	if len(files) == 0 {
		return errors.New("no files")
	}
	dirs := parents(files)
	for i, f := range files {
		switch err := artifact.CheckPath(f.Path); {
		case err != nil:
			return err
		case i > 0 && files[i-1].Path >= f.Path:
			return fmt.Errorf("file %q: given twice, or not in order", f.Path)
		case dirs[f.Path]:
			return fmt.Errorf("file %q: is a directory too", f.Path)
		case f.SHA256.Algorithm() != artifact.SHA256 || f.Size < 0:
			return fmt.Errorf("file %q: without a SHA-256 digest and a size", f.Path)
		}
	}
	return nil
}

// parents returns the directories that files need, without the top.
func parents(files []entry) map[string]bool {
	dirs := map[string]bool{}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "." && dir != "/" && !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	return dirs
}

// entries turns the files of a request into a sorted list.
func entries(files []artifact.File) ([]entry, error) {
	out := make([]entry, 0, len(files))
	for _, f := range files {
		if f.Kind != artifact.Regular && f.Kind != "" {
			return nil, fmt.Errorf("file %q: is a %s; only regular files can be rolled back to", f.Path, f.Kind)
		}
		out = append(out, entry{f.Path, f.Size, f.Digest})
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.Path, b.Path) })
	return out, checkEntries(out)
}

// makeWork makes the work directory and the one above it, private both.
// Configured quarantine directories exist before and keep their mode.
func (p params) makeWork() error {
	above := filepath.Dir(p.Work)
	if filepath.Base(above) == workName {
		if err := fsop.PrivateDir(above); err != nil {
			return fmt.Errorf("make work directory: %w", err)
		}
	}
	if err := fsop.PrivateDir(p.Work); err != nil {
		return fmt.Errorf("make work directory: %w", err)
	}
	return nil
}

// scene is what stands where, by identity; zero for nothing.
type scene struct {
	serving, place, aside, newcomer fsop.ID
}

func (p params) look() (scene, error) {
	var s scene
	for path, id := range map[string]*fsop.ID{p.Serving: &s.serving, p.Place: &s.place, p.aside(): &s.aside} {
		var err error
		if *id, err = identity(path); err != nil {
			return scene{}, err
		}
	}
	var err error
	s.newcomer, err = readStamp(p.stamp())
	return s, err
}

// identity is [fsop.Identity] with zero for nothing.
func identity(path string) (fsop.ID, error) {
	id, err := fsop.Identity(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fsop.ID{}, nil
	}
	return id, err
}

// readStamp returns the identity of the finished newcomer; zero when there is
// no stamp.
func readStamp(path string) (fsop.ID, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return fsop.ID{}, nil
	}
	if err != nil {
		return fsop.ID{}, err
	}
	defer root.Close()
	f, _, err := fsop.OpenRegular(root, filepath.Base(path))
	if errors.Is(err, fs.ErrNotExist) {
		return fsop.ID{}, nil
	}
	if err != nil {
		return fsop.ID{}, err
	}
	defer f.Close()
	var text [64]byte
	n, _ := f.Read(text[:])
	id, err := fsop.ParseID(strings.TrimSuffix(string(text[:n]), "\n"))
	if err != nil {
		return fsop.ID{}, fmt.Errorf("read %s: %w", artifact.Quote(path), err)
	}
	return id, nil
}
