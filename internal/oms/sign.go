package oms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// SignOptions are what [Sign] may be told.
type SignOptions struct {
	// Signature is where the bundle goes. Empty means model.sig in the model
	// directory, or the name of the file with ".sig" added.
	Signature string
	// IgnorePaths are paths inside the model, exact or directories, that are
	// left out. The bundle says so.
	IgnorePaths []string
	// KeepGitPaths signs .git, .github, .gitattributes and .gitignore, too,
	// which OMS leaves out.
	KeepGitPaths bool
	// AllowSymlinks signs what links to regular files inside the model lead
	// to, under the names of the links. Without it a link is an error.
	AllowSymlinks bool
	// Compat writes what the reference implementation writes where that
	// differs from the specification: the order of its own sorting, and "."
	// for a model that is one file. It does not accept the latter otherwise.
	Compat bool
	// Certificates make it the certificate method: the leaf, whose key must
	// be the signing key's, then what leads up to the root.
	Certificates []*x509.Certificate
	// Random is for the signature; nil is crypto/rand.
	Random   io.Reader
	Workers  int
	Progress func(manifest.Progress)
}

// Signed says what [Sign] did.
type Signed struct {
	RootDigest artifact.Digest `json:"root_digest"`
	Files      int             `json:"files"`
	Bytes      int64           `json:"bytes"`
	// Signature is the path of the bundle.
	Signature string `json:"signature"`
}

// Sign hashes the model at path and writes a bundle over it, signed with an
// ECDSA key on P-256, P-384 or P-521. The bundle appears complete or not at
// all, mode 0644, and replaces an older one. Nothing is signed that could not
// be read in full: then, and for links and special files, the error is a
// [fault.Incomplete] or a [fault.Invalid] that names the first such path.
func Sign(ctx context.Context, path string, key crypto.Signer, o SignOptions) (*Signed, error) {
	material, err := signingMaterial(key, o.Certificates)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", artifact.Quote(path), err)
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return SignBy(ctx, path, func(_ context.Context, _ string, payload []byte) ([]byte, error) {
		return seal(payload, key, material, o.Random)
	}, o)
}

// Sealer signs a payload by means of its own and returns the whole bundle.
type Sealer func(ctx context.Context, payloadType string, payload []byte) ([]byte, error)

// SignBy is [Sign] with the signature and its bundle made by seal. What the
// options say about certificates and randomness does not matter then. A bundle
// that is not over the payload, or that [Verify] would not read, is not
// written.
func SignBy(ctx context.Context, path string, seal Sealer, o SignOptions) (*Signed, error) {
	s, err := signOver(ctx, path, seal, o)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", artifact.Quote(path), err)
	}
	return s, nil
}

// sealed returns the bundle over the payload.
func (s Sealer) sealed(ctx context.Context, payload []byte) ([]byte, error) {
	data, err := s(ctx, payloadType, payload)
	if err != nil {
		return nil, err
	}
	b, err := parseBundle(data, Limits{}.fill())
	if err != nil {
		return nil, fmt.Errorf("check what was signed: %w", err)
	}
	if !bytes.Equal(b.payload, payload) {
		return nil, errors.New("check what was signed: it is another payload")
	}
	return data, nil
}

func signOver(ctx context.Context, path string, seal Sealer, o SignOptions) (*Signed, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unopened(err)
	}
	out := o.Signature
	if out == "" {
		out = path + ".sig"
		if info.IsDir() {
			out = filepath.Join(path, bundleName)
		}
	}
	l, err := list(ctx, path, info.IsDir(), listOptions{
		ignore: o.IgnorePaths, git: o.KeepGitPaths, signature: out, links: o.AllowSymlinks, workers: o.Workers, progress: o.Progress,
	})
	if err != nil {
		return nil, err
	}
	l.order(o.Compat, !info.IsDir())
	payload, err := l.statement(filepath.Base(filepath.Clean(path)), o.AllowSymlinks)
	if err != nil {
		return nil, err
	}
	data, err := seal.sealed(ctx, payload)
	if err != nil {
		return nil, err
	}
	if err := writeFile(out, data); err != nil {
		return nil, fault.New(fault.Incomplete, "write signature: %w", err).
			WithHint("choose another place with --signature, or check who may write to the directory and how full its disk is")
	}
	return &Signed{RootDigest: l.root(), Files: len(l.files), Bytes: l.bytes(), Signature: out}, nil
}

func unopened(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "there is nothing at this path").WithHint("check the path of the model")
	}
	return fault.New(fault.Incomplete, "read model: %w", cause(err))
}

// Digest returns the root digest of the model at path as the reference
// implementation prints it: SHA-256 over the digests of all files but the git
// paths, in its own order. A signature in the model counts as a file unless it
// is among the ignored paths. The error is as for [Sign].
func Digest(ctx context.Context, path string, ignore ...string) (artifact.Digest, error) {
	info, err := os.Stat(path)
	if err != nil {
		return artifact.Digest{}, fmt.Errorf("digest %s: %w", artifact.Quote(path), unopened(err))
	}
	l, err := list(ctx, path, info.IsDir(), listOptions{ignore: ignore})
	if err != nil {
		return artifact.Digest{}, fmt.Errorf("digest %s: %w", artifact.Quote(path), err)
	}
	l.order(true, false)
	return l.root(), nil
}

// listing is what is to be signed.
type listing struct {
	files  []artifact.File
	ignore []string // recorded in the bundle
}

type listOptions struct {
	ignore    []string
	git       bool   // not to be left out
	signature string // to be left out when it is inside; may be ""
	links     bool
	workers   int
	progress  func(manifest.Progress)
}

// list observes the files to be signed, all of them or none.
func list(ctx context.Context, path string, isDir bool, o listOptions) (*listing, error) {
	for _, p := range o.ignore {
		if err := artifact.CheckPath(p); err != nil {
			return nil, fault.New(fault.Invalid, "ignored %w", err).WithHint("give paths relative to the model")
		}
	}
	m, err := manifest.Take(ctx, path, manifest.Options{Workers: o.workers, Progress: o.progress})
	if err != nil {
		return nil, err
	}
	l := &listing{}
	if isDir {
		l.ignore = slices.Clone(o.ignore)
		if !o.git {
			l.ignore = append(l.ignore, gitPaths...)
		}
		if rel, ok := insideModel(path, o.signature); ok && o.signature != "" {
			l.ignore = append(l.ignore, rel)
		}
		slices.Sort(l.ignore)
		l.ignore = slices.Compact(l.ignore)
	}
	ignore := newPathSet(l.ignore)
	for _, p := range m.Problems {
		if !ignore.covers(p.Path) && (!o.links || p.Kind != manifest.LinkEscapes) {
			return nil, fault.New(fault.Incomplete, "%s: %s", artifact.Quote(p.Path), p.Reason).
				WithHint("a signature covers every file; remove this one, make it readable, or leave it out with --ignore-paths")
		}
	}
	for _, f := range m.Files {
		if ignore.covers(f.Path) || f.Kind == artifact.Directory {
			continue
		}
		if f.Kind == artifact.Symlink {
			if f, err = linked(ctx, path, f, o.links); err != nil {
				return nil, err
			}
		}
		l.files = append(l.files, f)
	}
	if len(l.files) == 0 {
		return nil, fault.New(fault.Invalid, "there is no file to sign").WithHint("check the path, and what is ignored")
	}
	return l, nil
}

// linked returns the entry of a link with the size and digest of the regular
// file it leads to.
func linked(ctx context.Context, model string, f artifact.File, allowed bool) (artifact.File, error) {
	if !allowed {
		return f, fault.New(fault.Invalid, "%s is a symbolic link", artifact.Quote(f.Path)).
			WithHint("replace it by the file, leave it out with --ignore-paths, or pass --allow-symlinks")
	}
	root, err := os.OpenRoot(model)
	if err != nil {
		return f, unopened(err)
	}
	defer root.Close()
	got, err := readClaim(ctx, root, f.Path, claim{})
	if err != nil {
		return f, fault.New(fault.Invalid, "%s is a link that cannot be signed: %w", artifact.Quote(f.Path), cause(err))
	}
	f.Size, f.Digest = got.size, got.sha256
	return f, nil
}

func (l *listing) order(compat, single bool) {
	if compat {
		slices.SortFunc(l.files, func(a, b artifact.File) int { return comparePython(a.Path, b.Path) })
	}
	if compat && single {
		l.files[0].Path = "."
	}
}

func (l *listing) root() artifact.Digest {
	var r rootDigest
	for _, f := range l.files {
		r.add(f.Digest)
	}
	return r.digest()
}

func (l *listing) bytes() (n int64) {
	for _, f := range l.files {
		n += f.Size
	}
	return n
}
