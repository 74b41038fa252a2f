// Package investigate looks into a suspect model: what its files are by their
// content, whether a signature covers them, and what differs from a reference.
// It reads bytes and loads nothing.
package investigate

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/oms"
	"github.com/weightwarden/weightwarden/internal/sniff"
)

// Suspect is the model to look into.
type Suspect struct {
	// ID is the model's, Path where the suspect is now, which may be the
	// quarantine.
	ID, Path string
	// Reference is a directory with the model as it should be, or "".
	Reference string
	// Signature is what verification of the suspect gave.
	Signature *oms.Result
}

// Result is what was looked at and what was found.
type Result struct {
	Findings []finding.Finding
	Inquiry  incident.Inquiry
}

// The rules.
const (
	ruleUnreadable = "WW-FILE-000"
	rulePickle     = "WW-FILE-001"
	ruleNative     = "WW-FILE-002"
	ruleSource     = "WW-FILE-003"
	rulePromise    = "WW-FILE-004"
	ruleUnsigned   = "WW-SIGN-001"
	ruleSignature  = "WW-SIGN-002"
	ruleUncovered  = "WW-SIGN-003"
	ruleDiffers    = "WW-COMPARE-001"
	ruleSpecial    = "WW-FILE-005"
)

// Model looks into the suspect. What could not be read is in the result; an
// error means that the suspect or the reference as a whole could not be.
func Model(ctx context.Context, s Suspect) (*Result, error) {
	r := &Result{Inquiry: incident.Inquiry{Model: s.ID, Reference: s.Reference}}
	suspect, err := manifest.Take(ctx, s.Path, manifest.Options{})
	if err != nil {
		return nil, err
	}
	r.Inquiry.Files = suspect.Regular()
	for _, p := range suspect.Problems {
		r.unread(p.Path, p.Reason)
	}
	if err := r.contents(ctx, s.Path, suspect); err != nil {
		return nil, err
	}
	r.signature(s.Signature)
	if s.Reference != "" {
		if err := r.compare(ctx, s.Reference, suspect); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(r.Findings, finding.Compare)
	return r, nil
}

func (r *Result) add(rule string, sev finding.Severity, verdict finding.Verdict, file, summary string, atlas ...string) {
	r.Findings = append(r.Findings, finding.Finding{
		Rule: rule, Severity: sev, Verdict: verdict, File: file, Offset: -1, Summary: summary, Atlas: atlas,
	})
}

func (r *Result) unread(path, reason string) {
	r.Inquiry.Unread = append(r.Inquiry.Unread, path+": "+reason)
	r.add(ruleUnreadable, finding.High, finding.Inconclusive, path, fmt.Sprintf("%s was not looked at: %s", artifact.Quote(path), reason))
}

// contents judges every file by its first bytes.
func (r *Result) contents(ctx context.Context, path string, m *manifest.Manifest) error {
	info, err := os.Stat(path)
	if err != nil {
		return fault.New(fault.Incomplete, "open suspect: %w", err)
	}
	dir := path
	name := func(f artifact.File) string { return f.Path }
	if !info.IsDir() {
		// Links on the way were meant by whoever named the path.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return fault.New(fault.Incomplete, "open suspect: %w", err)
		}
		dir, name = filepath.Dir(path), func(artifact.File) string { return filepath.Base(path) }
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fault.New(fault.Incomplete, "open suspect: %w", err)
	}
	defer func() { _ = root.Close() }()
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch f.Kind {
		case artifact.Regular:
			r.content(root, name(f), f)
		case artifact.Directory, artifact.Symlink:
		default:
			r.add(ruleSpecial, finding.High, finding.Suspicious, f.Path,
				fmt.Sprintf("%s is a %s, which no model needs", artifact.Quote(f.Path), f.Kind))
		}
	}
	return nil
}

func (r *Result) content(root *os.Root, name string, f artifact.File) {
	head, err := readHead(root, name)
	if err != nil && f.Digest.IsZero() {
		return // its problem is known already
	}
	if err != nil {
		r.unread(f.Path, err.Error())
		return
	}
	kind := sniff.Head(f.Path, head, f.Size)
	format := kind.Is()
	name = artifact.Quote(f.Path)
	switch format {
	case artifact.Pickle, artifact.Torch, artifact.TorchLegacy:
		r.add(rulePickle, finding.High, finding.Suspicious, f.Path,
			fmt.Sprintf("%s is %s: loading it runs the pickle in it", name, format), "AML.T0011.000")
	case artifact.Native:
		r.add(ruleNative, finding.High, finding.Suspicious, f.Path,
			fmt.Sprintf("%s is native code (an executable or a shared library)", name), "AML.T0011")
	case artifact.Python, artifact.Script:
		r.add(ruleSource, finding.High, finding.Suspicious, f.Path,
			fmt.Sprintf("%s is code (%s)", name, format), "AML.T0011")
	default: // the others run nothing by being loaded
	}
	if f.Size > 0 && breaksPromise(f, head) {
		r.add(rulePromise, finding.High, finding.Suspicious, f.Path,
			fmt.Sprintf("%s is not what its name says: the content is %s", name, sniff.Head("", head, f.Size).Is()))
	}
}

// breaksPromise reports whether the content is none of the formats that the
// name promises. The name has no part in what the content is taken for.
func breaksPromise(f artifact.File, head []byte) bool {
	promised := artifact.Promised(f.Path)
	return promised != nil && !slices.ContainsFunc(sniff.Head("", head, f.Size).All(), func(is artifact.Format) bool {
		return slices.Contains(promised, is)
	})
}

// readHead reads the start of a file without following a link and without
// waiting for a pipe.
func readHead(root *os.Root, path string) ([]byte, error) {
	f, _, err := fsop.OpenRegular(root, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, sniff.HeadLength))
}

func (r *Result) signature(s *oms.Result) {
	switch {
	case s == nil:
		return
	case s.Method == "" && s.Verdict == oms.Error:
		r.unread("signature", first(s.Reasons))
	case s.Method == "":
		r.add(ruleUnsigned, finding.Critical, finding.Suspicious, "", "the model is not signed", "AML.T0010.003")
	case s.Verdict != oms.Verified:
		reason := ""
		if len(s.Reasons) > 0 {
			reason = ": " + s.Reasons[0]
		}
		r.add(ruleSignature, finding.Critical, finding.Suspicious, "", "the model's signature does not verify ("+string(s.Verdict)+")"+reason)
	}
	// A list that nobody trusted signed proves nothing, and may tell something.
	verdict, against := finding.Suspicious, "a manifest that nobody trusted signed"
	if s.Verdict == oms.Tampered {
		verdict, against = finding.Malicious, "the signed manifest"
	}
	for _, m := range s.Mismatches {
		r.add(ruleSignature, finding.Critical, verdict, m.File,
			fmt.Sprintf("%s is %s against %s", artifact.Quote(m.File), m.Kind, against), "AML.T0018")
	}
	for _, path := range s.Uncovered {
		r.add(ruleUncovered, finding.Medium, finding.Suspicious, path, artifact.Quote(path)+" is covered by no signature")
	}
}

func first(reasons []string) string {
	if len(reasons) == 0 {
		return "no reason is known"
	}
	return reasons[0]
}

// compare lists what differs from the reference, in the guide's words.
func (r *Result) compare(ctx context.Context, dir string, suspect *manifest.Manifest) error {
	reference, err := manifest.Take(ctx, dir, manifest.Options{})
	if err != nil {
		return fmt.Errorf("read reference: %w", err)
	}
	for _, p := range reference.Problems {
		r.unread("reference/"+p.Path, p.Reason)
	}
	c := &incident.Comparison{OnlyInCompromised: []string{}, OnlyInReference: []string{}, Modified: []string{}, Identical: []string{}}
	differs := map[string]bool{}
	for _, change := range manifest.Compare(reference, suspect) {
		differs[change.Path] = true
		if unknown(reference, change) {
			continue // what the reference has there could not be read
		}
		word := string(change.Kind)
		switch change.Kind {
		case manifest.Unexpected:
			c.OnlyInCompromised, word = append(c.OnlyInCompromised, change.Path), "only in the suspect"
		case manifest.Missing:
			c.OnlyInReference, word = append(c.OnlyInReference, change.Path), "only in the reference"
		case manifest.Modified:
			c.Modified, word = append(c.Modified, change.Path), "not the file of the reference"
		}
		r.add(ruleDiffers, finding.Critical, finding.Malicious, change.Path,
			fmt.Sprintf("%s is %s", artifact.Quote(change.Path), word), "AML.T0018")
	}
	for _, f := range suspect.Files {
		if f.Kind == artifact.Regular && !differs[f.Path] && !f.Digest.IsZero() {
			c.Identical = append(c.Identical, f.Path)
		}
	}
	r.Inquiry.Comparison = c
	return nil
}

// unknown reports whether the reference could not be read where the change is,
// so that nothing can be said about it.
func unknown(reference *manifest.Manifest, c manifest.Change) bool {
	if c.Kind == manifest.Missing {
		return false
	}
	return slices.ContainsFunc(reference.Problems, func(p manifest.Problem) bool {
		return p.Path == c.Path && c.Want.Kind == artifact.Regular || p.Kind == manifest.Walk && strings.HasPrefix(c.Path, p.Path+"/")
	})
}
