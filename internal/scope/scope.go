// Package scope finds out how far an incident reaches on this host: which
// models, archived versions and hub caches hold the suspect or one of its
// suspect files, and since when the model has to be taken as bad.
//
// It compares content, never names. What it cannot read it calls unknown,
// which counts as affected. It does not know other hosts, and of derived
// models (fine-tuned, quantised, merged) only those that kept a file.
package scope

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// The kinds of place.
const (
	Model    = "model"
	Archive  = "archive"
	HubCache = "hub_cache"
)

// What is looked at and kept of one place.
const (
	maxFiles   = 1_000_000
	maxMatches = 100
)

// Suspect is what is looked for.
type Suspect struct {
	// Root is the root digest of the suspect, Files its regular files.
	Root  artifact.Digest
	Files []artifact.File
	// Bad are the contents that are suspect.
	Bad map[artifact.Digest]bool

	sizes map[int64]bool
	paths map[string]artifact.Digest
}

// NewSuspect makes the suspect of the manifest of a tampered model. Suspect is
// what differs from the baseline; without one, every file that is not empty.
func NewSuspect(now, base *manifest.Manifest) *Suspect {
	s := &Suspect{Root: now.Root(), Bad: map[artifact.Digest]bool{}, sizes: map[int64]bool{}, paths: map[string]artifact.Digest{}}
	known := map[artifact.Digest]bool{}
	if base != nil {
		for _, f := range base.Files {
			known[f.Digest] = true
		}
	}
	for _, f := range now.Files {
		if f.Kind != artifact.Regular || f.Digest.IsZero() {
			continue
		}
		s.Files = append(s.Files, f)
		s.sizes[f.Size], s.paths[f.Path] = true, f.Digest
		if f.Size > 0 && !known[f.Digest] {
			s.Bad[f.Digest] = true
		}
	}
	return s
}

// Target is a place to look at.
type Target struct {
	Kind, Model, Path string
}

// Look looks at one place. Trouble with the place is in its verdict; an error
// means that ctx is done.
func (s *Suspect) Look(ctx context.Context, t Target) (incident.Place, error) {
	l := &look{Suspect: s, ctx: ctx, place: incident.Place{Kind: t.Kind, Model: t.Model, Path: t.Path, Verdict: incident.PlaceClear, Files: []string{}}}
	info, err := os.Stat(t.Path)
	switch {
	case err != nil:
		l.unknown(t.Path, err)
	case info.IsDir():
		err = l.tree(t.Path)
	default:
		err = l.single(t.Path)
	}
	if ctx.Err() != nil {
		return l.place, ctx.Err()
	}
	if err != nil {
		l.unknown(t.Path, err)
	}
	l.place.SameRoot = len(s.Files) > 0 && l.same == len(s.Files) && l.others == 0
	if l.place.Matches > 0 || l.place.SameRoot {
		l.place.Verdict = incident.PlaceAffected
	}
	return l.place, nil
}

type look struct {
	*Suspect
	ctx   context.Context
	place incident.Place
	// same counts the files that are the suspect's at their paths, others
	// those that are not.
	same, others, files int
}

// unknown notes the first thing that could not be read.
func (l *look) unknown(path string, err error) {
	if l.place.Verdict == incident.PlaceClear {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		l.place.Verdict, l.place.Reason = incident.PlaceUnknown, artifact.Quote(path)+": "+err.Error()
	}
}

func (l *look) single(path string) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	l.file(root, filepath.Base(path))
	return nil
}

func (l *look) tree(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case l.ctx.Err() != nil:
			return l.ctx.Err()
		case err != nil:
			l.unknown(path, err)
		case d.IsDir():
		case l.files >= maxFiles:
			l.unknown(path, fmt.Errorf("more than %d files", maxFiles))
			return fs.SkipAll
		case d.Type().IsRegular():
			l.files++
			l.file(root, path)
		case d.Type()&fs.ModeSymlink != 0:
			l.files++
			l.link(root, dir, path)
		default:
			l.others++
		}
		return nil
	})
}

// file looks at a regular file. Only what has the size of a file of the
// suspect is read.
func (l *look) file(root *os.Root, path string) {
	info, err := root.Lstat(path)
	if err != nil {
		l.unknown(path, err)
		return
	}
	if !l.sizes[info.Size()] {
		l.others++
		return
	}
	d, _, err := fsop.HashFile(l.ctx, root, path)
	if err != nil {
		l.unknown(path, err)
		return
	}
	l.count(path, d)
}

func (l *look) count(path string, d artifact.Digest) {
	if l.paths[path] == d && !d.IsZero() {
		l.same++
	} else {
		l.others++
	}
	if !l.Bad[d] {
		return
	}
	if l.place.Matches++; len(l.place.Files) < maxMatches {
		l.place.Files = append(l.place.Files, artifact.Quote(path))
	}
}

// link looks at what a symbolic link leads to, unless it stays in the place,
// where the target is met by itself. A hub cache is made of links.
func (l *look) link(root *os.Root, dir, path string) {
	if _, err := root.Stat(path); err == nil {
		return
	}
	target, err := filepath.EvalSymlinks(filepath.Join(dir, path))
	if err != nil {
		l.unknown(path, err)
		return
	}
	info, err := os.Stat(target)
	if err != nil || info.IsDir() || !l.sizes[info.Size()] {
		if err != nil || info.IsDir() {
			l.unknown(path, errors.Join(err, errors.New("a link out of the place")))
		}
		return
	}
	out, err := os.OpenRoot(filepath.Dir(target))
	if err != nil {
		l.unknown(path, err)
		return
	}
	defer out.Close()
	d, _, err := fsop.HashFile(l.ctx, out, filepath.Base(target))
	if err != nil {
		l.unknown(path, err)
		return
	}
	l.count(path, d)
}

// Versions returns the versions in an archive as targets. An archive that
// cannot be read is one target, which will be unknown.
func Versions(archive string) []Target {
	entries, err := os.ReadDir(archive)
	if err != nil {
		return []Target{{Kind: Archive, Path: archive}}
	}
	var out []Target
	for _, e := range entries {
		out = append(out, Target{Kind: Archive, Path: filepath.Join(archive, e.Name())})
	}
	return out
}

// Repositories returns the repositories in a cache of the Hugging Face hub
// (models--*, datasets--* and spaces--* with their blobs). A cache that does
// not exist has none; one that cannot be read is one target.
func Repositories(cache string) []Target {
	entries, err := os.ReadDir(cache)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return []Target{{Kind: HubCache, Path: cache}}
	}
	var out []Target
	for _, e := range entries {
		kind, _, ok := strings.Cut(e.Name(), "--")
		if ok && slices.Contains([]string{"models", "datasets", "spaces"}, kind) {
			out = append(out, Target{Kind: HubCache, Path: filepath.Join(cache, e.Name())})
		}
	}
	return out
}

// Caches returns the directories in which the hub's tools keep their files by
// default, for the user whose environment getenv is and for those with a home.
func Caches(getenv func(string) string, homes []string) []string {
	var out []string
	add := func(dir string) {
		if dir != "" && filepath.IsAbs(dir) && !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	add(getenv("HF_HUB_CACHE"))
	add(getenv("HUGGINGFACE_HUB_CACHE"))
	if home := getenv("HF_HOME"); home != "" {
		add(filepath.Join(home, "hub"))
	}
	if cache := getenv("XDG_CACHE_HOME"); cache != "" {
		add(filepath.Join(cache, "huggingface", "hub"))
	}
	for _, home := range append([]string{getenv("HOME"), "/root"}, homes...) {
		if home != "" {
			add(filepath.Join(home, ".cache", "huggingface", "hub"))
		}
	}
	return out
}
