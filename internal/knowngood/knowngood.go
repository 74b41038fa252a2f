// Package knowngood finds the version of a model to roll back to: one that
// verifies now, is not on the deny-list, and was vouched for before the first
// bad moment. Names and directory order decide nothing.
package knowngood

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// Candidate is a version and what speaks for and against it.
type Candidate struct {
	// Ref is the version's name in the archive, Path where it is.
	Ref  string `json:"ref"`
	Path string `json:"path"`
	// Verdict is that of the signature, Signer who made it.
	Verdict oms.Verdict     `json:"verdict"`
	Signer  string          `json:"signer,omitempty"`
	Root    artifact.Digest `json:"root_digest,omitzero"`
	// VouchedAt is since when the version is vouched for, VouchedBy how that
	// is known.
	VouchedAt time.Time `json:"vouched_at,omitzero"`
	VouchedBy string    `json:"vouched_by,omitempty"`
	// Weak says that VouchedAt is the time of a file, which whoever can write
	// the file can set.
	Weak bool `json:"weak,omitempty"`
	// Refusals say why the version is none to roll back to. Empty means that
	// it is one.
	Refusals []string `json:"refusals"`
	// Files are exactly the files to put in place: those that the signature
	// covers, and the signature.
	Files []artifact.File `json:"-"`
	// Installed is the root digest of Files.
	Installed artifact.Digest `json:"-"`
}

// Eligible reports whether nothing speaks against the version.
func (c Candidate) Eligible() bool { return len(c.Refusals) == 0 }

// Selector examines versions.
type Selector struct {
	Trust oms.Trust
	State *trust.State
	// Before is the first bad moment: what was not vouched for by then is no
	// version to go back to.
	Before time.Time
	Now    time.Time
}

// List examines every version of the model in the archive: the directories
// and files whose names begin with the model's id, except those that begin
// with the longer id of another model. The eligible come first, newest by the
// time since when they are vouched for; those of which only the time of a file
// tells come last.
func (s Selector) List(ctx context.Context, archive, model string, others []string) ([]Candidate, error) {
	if archive == "" {
		return nil, fault.New(fault.Invalid, "model %s has no archive of versions to roll back to", artifact.Quote(model)).
			WithHint("name the directory under archive: in the configuration, or a version with --to")
	}
	entries, err := os.ReadDir(archive)
	if err != nil {
		return nil, fault.New(fault.Incomplete, "read archive: %w", err).
			WithHint("check archive: in the configuration, or name a version with --to")
	}
	var out []Candidate
	for _, e := range entries {
		if !belongs(e.Name(), model, others) {
			continue
		}
		c, err := s.Examine(ctx, filepath.Join(archive, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, newest)
	return out, nil
}

// belongs decides by the name whether a version is one of the model's.
func belongs(name, model string, others []string) bool {
	if !strings.HasPrefix(name, model) {
		return false
	}
	return !slices.ContainsFunc(others, func(other string) bool {
		return len(other) > len(model) && strings.HasPrefix(name, other)
	})
}

func newest(a, b Candidate) int {
	if a.Eligible() != b.Eligible() {
		return order(a.Eligible())
	}
	if a.Weak != b.Weak { // whoever can write to the archive could make it the newest
		return order(b.Weak)
	}
	return cmp.Or(b.VouchedAt.Compare(a.VouchedAt), cmp.Compare(a.Ref, b.Ref))
}

func order(first bool) int {
	if first {
		return -1
	}
	return 1
}

// Examine verifies one version now and says what speaks for and against it.
// Trouble with the version is in the candidate; an error is trouble with the
// program.
func (s Selector) Examine(ctx context.Context, path string) (Candidate, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Candidate{}, fmt.Errorf("examine version: %w", err)
	}
	c := Candidate{Ref: filepath.Base(abs), Path: abs, Verdict: oms.Error, Refusals: []string{}}
	if reason := notDirectory(abs); reason != "" {
		c.refuse("%s", reason)
		return c, nil
	}
	r, err := oms.Verify(ctx, abs, oms.VerifyOptions{Trust: s.Trust, Now: s.Now})
	if err != nil {
		if ctx.Err() != nil {
			return Candidate{}, err
		}
		c.refuse("does not verify: %v", err)
		return c, nil
	}
	c.Verdict, c.Signer, c.Root = r.Verdict, r.Signer, r.RootDigest
	if r.Verdict != oms.Verified {
		c.refuse("does not verify: %s%s", r.Verdict, explain(r))
		return c, nil
	}
	if err := c.files(ctx, r); err != nil {
		if ctx.Err() != nil {
			return Candidate{}, err
		}
		c.refuse("could not be read: %v", err)
		return c, nil
	}
	s.vouched(&c, r)
	s.denied(&c, r)
	return c, nil
}

// notDirectory says why path is no version that can be put in place of a
// model, or "". A link is none, wherever it leads: what is examined now and
// what is copied later must be the same directory.
func notDirectory(path string) string {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return "could not be read: " + err.Error()
	case !info.IsDir():
		return "is a " + string(artifact.KindOf(info.Mode())) + ", not a directory"
	default:
		return ""
	}
}

func (c *Candidate) refuse(format string, args ...any) {
	c.Refusals = append(c.Refusals, fmt.Sprintf(format, args...))
}

func explain(r *oms.Result) string {
	switch {
	case len(r.Reasons) > 0:
		return ": " + r.Reasons[0]
	case len(r.Mismatches) > 0:
		return fmt.Sprintf(": %s %s", artifact.Quote(r.Mismatches[0].File), r.Mismatches[0].Kind)
	default:
		return ""
	}
}

// files lists what is to be put in place, the signature itself included.
func (c *Candidate) files(ctx context.Context, r *oms.Result) error {
	root, err := os.OpenRoot(c.Path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	c.Files = slices.Clone(r.Covered)
	for _, name := range r.Material {
		if err := artifact.CheckPath(name); err != nil {
			return err
		}
		f, err := manifest.HashFile(ctx, root, name)
		if err != nil {
			return err
		}
		c.Files = append(c.Files, f)
	}
	slices.SortFunc(c.Files, func(a, b artifact.File) int { return cmp.Compare(a.Path, b.Path) })
	c.Installed = manifest.RootDigest(c.Files)
	return nil
}

// vouched says since when the version is vouched for: by this host's record,
// else by a time that somebody trusted put into the bundle, else by the time
// of the signature's file. Whoever can write that file can set its time, so
// that it says nothing against a record of when the version was signed.
func (s Selector) vouched(c *Candidate, r *oms.Result) {
	// An approval was of the version as installed, the signature included.
	for _, root := range []artifact.Digest{r.RootDigest, c.Installed} {
		if v, ok := s.State.VouchedFor(root, s.Before); ok {
			c.VouchedAt, c.VouchedBy = v.Time, fmt.Sprintf("%s here, by %s", v.Body.How, v.By)
			return
		}
	}
	if !r.SignedAt.IsZero() {
		c.VouchedAt, c.VouchedBy = r.SignedAt, "time in the signature bundle"
	} else if v, ok := s.State.SignedSince(r.RootDigest); ok {
		c.VouchedAt, c.VouchedBy = v.Time, "signed here, by "+v.By
	} else if at, ok := signatureTime(c.Path, r.Material); ok {
		c.VouchedAt, c.VouchedBy, c.Weak = at, "time of the signature's file, which is weak", true
	}
	switch {
	case c.VouchedAt.IsZero():
		c.refuse("nothing tells since when it is vouched for")
	case !c.VouchedAt.Before(s.Before):
		c.refuse("vouched for since %s (%s), which is not before the first bad moment %s",
			c.VouchedAt.UTC().Format(time.RFC3339), c.VouchedBy, s.Before.UTC().Format(time.RFC3339))
	}
}

// signatureTime returns the latest modification time among the files of the
// signature.
func signatureTime(dir string, material []string) (latest time.Time, ok bool) {
	for _, name := range material {
		info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return time.Time{}, false
		}
		if info.ModTime().After(latest) {
			latest, ok = info.ModTime(), true
		}
	}
	return latest, ok
}

func (s Selector) denied(c *Candidate, r *oms.Result) {
	for _, root := range []artifact.Digest{r.RootDigest, c.Installed} {
		if d, ok := s.State.DeniedAmong(root, c.Files); ok {
			c.refuse("on the deny-list: %s %s (%s)", d.Body.Subject, d.Body.Value, artifact.Quote(d.Body.Reason))
			return
		}
	}
	if d, ok := s.State.DeniedSigner(r.KeyHint, r.Signer); ok {
		c.refuse("its signer is on the deny-list (%s)", artifact.Quote(d.Body.Reason))
	}
}
