package assess

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// Held is a file that can only be read through who holds it.
type Held struct {
	Name, Origin string
	// Open opens the content.
	Open func() (io.ReadCloser, error)
}

// heldFiles seals the files of a source, one item each.
func (a *Assessor) heldFiles(ctx context.Context, s Source, result *Result) error {
	held, missing, err := s.Files(ctx)
	if err != nil {
		return a.gap(ctx, result, evidence.Gap{Type: s.Type, Name: s.Type, Origin: s.Origin, Reason: err.Error()})
	}
	for _, h := range held {
		a.progress(h.Name)
		if err := a.heldFile(ctx, s.Type, h, result); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	// What could not even be looked at is a fact of its own: a list of files
	// that is silent about it would claim to be all of them.
	return a.document(ctx, result, evidence.Item{Type: s.Type, Name: "list", Origin: s.Origin, Missing: missing}, len(held))
}

func (a *Assessor) heldFile(ctx context.Context, kind string, h Held, result *Result) error {
	item := evidence.Item{Type: kind, Name: artifact.Quote(h.Name), Origin: h.Origin, CollectedAt: a.Now().UTC()}
	f, err := h.Open()
	if err == nil {
		item.SHA256, item.Size, err = a.Vault.Put(ctx, f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return a.gap(ctx, result, evidence.Gap{Type: kind, Name: item.Name, Origin: h.Origin, Reason: err.Error()})
	}
	result.Items++
	return a.seal(ctx, item)
}

// maxAttributes bounds the files whose attributes are kept.
const maxAttributes = 100_000

// fileAttributes is what the file system keeps of one file of the model.
type fileAttributes struct {
	Path string `json:"path"`
	fsop.Attributes
}

// attributes seals times, owners and extended attributes of the model's files.
// Reading a file changes its time of access, so this comes before the hashing.
func (a *Assessor) attributes(ctx context.Context, m artifact.Model, result *Result) error {
	a.progress("attributes")
	item := evidence.Item{Type: "attributes", Name: m.ID, Origin: m.Path}
	root, name, err := openModel(m.Path)
	if err != nil {
		return a.gap(ctx, result, evidence.Gap{Type: item.Type, Name: m.ID, Origin: m.Path, Reason: err.Error()})
	}
	defer func() { _ = root.Close() }()
	found := []fileAttributes{}
	miss := func(path string, err error) {
		if len(item.Missing) < 1000 {
			item.Missing = append(item.Missing, artifact.Quote(path)+": "+err.Error())
		}
	}
	err = fs.WalkDir(root.FS(), cmp.Or(name, "."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			miss(path, err)
			return nil
		case len(found) >= maxAttributes:
			miss(path, fmt.Errorf("only the first %d files are listed", maxAttributes))
			return fs.SkipAll
		case !d.Type().IsRegular() && !d.IsDir():
			return nil // a link, a pipe: the manifest says so
		}
		one, err := readAttributes(root, path)
		if err != nil {
			miss(path, err)
		}
		found = append(found, fileAttributes{artifact.Quote(path), one})
		return nil
	})
	if err != nil {
		return err
	}
	return a.document(ctx, result, item, found)
}

func readAttributes(root *os.Root, path string) (fsop.Attributes, error) {
	info, err := root.Lstat(path)
	if err != nil {
		return fsop.Attributes{}, err
	}
	var f *os.File
	if info.IsDir() {
		f, err = root.Open(path)
	} else {
		f, _, err = fsop.OpenRegular(root, path)
	}
	if err != nil {
		return fsop.Attributes{}, err
	}
	defer f.Close()
	return fsop.ReadAttributes(f)
}

// maxDirect bounds what is read a second time, past the page cache, in bytes.
const maxDirect = 16 << 30

// directRead is the outcome of reading a file in both ways.
type directRead struct {
	Path   string          `json:"path"`
	Cached artifact.Digest `json:"cached_sha256"`
	Direct artifact.Digest `json:"direct_sha256,omitzero"`
	Same   bool            `json:"same"`
	Reason string          `json:"not_read,omitempty"`
}

// direct says what reading a captured file past the page cache has shown. Other
// bytes on the disk than in memory mean that somebody changed one of both.
func direct(path string, got evidence.Captured, item *evidence.Item, result *Result) {
	read := directRead{Path: artifact.Quote(path), Cached: got.SHA256, Direct: got.Direct, Same: !got.Differed && !got.Direct.IsZero(), Reason: got.NotDirect}
	switch {
	case got.Differed && got.Direct.IsZero():
		item.Notes = append(item.Notes, "memory and disk hold different bytes; past the page cache it could not be read to its end: "+got.NotDirect)
	case got.Differed && got.Direct == got.SHA256:
		item.Notes = append(item.Notes, "memory and disk held different bytes when they were compared, and the same a moment later")
	case got.Differed:
		item.Notes = append(item.Notes, "read past the page cache it has SHA-256 "+got.Direct.String()+": memory and disk hold different bytes")
	}
	result.reads = append(result.reads, read)
}

// directReads seals what reading in both ways has shown.
func (a *Assessor) directReads(ctx context.Context, m artifact.Model, result *Result) error {
	if len(result.reads) == 0 {
		return nil
	}
	item := evidence.Item{Type: "direct_reads", Name: m.ID, Origin: m.Path}
	for _, r := range result.reads {
		if r.Reason != "" && len(item.Missing) < 1000 {
			item.Missing = append(item.Missing, r.Path+": not read past the page cache: "+r.Reason)
		}
	}
	return a.document(ctx, result, item, result.reads)
}
