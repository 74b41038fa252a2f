package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/investigate"
	"github.com/weightwarden/weightwarden/internal/report"
	"github.com/weightwarden/weightwarden/internal/scan"
)

// The types of evidence that a scan of the suspect adds.
const (
	itemScan         = "scan_report"
	itemFlaggedFile  = "flagged_file"
	itemFlaggedBytes = "flagged_bytes"
)

// How much of what the scan flags is sealed, in bytes: files up to the first
// as they are, of larger ones what a finding points at, with some of what
// stands around it.
const (
	maxFlaggedFile  = 256 << 20
	maxFlaggedBytes = 1 << 20
	aroundFlagged   = 4 << 10
)

// inside scans the suspect, adds what was found to the result, and seals the
// bytes that were flagged before anything else can happen to them.
func (s *session) inside(ctx context.Context, inc *incident.Incident, suspect string, r *investigate.Result) error {
	c := report.NewScanCollector()
	if _, err := scan.Run(ctx, []string{suspect}, scan.Options{Detectors: catalog.All(), Version: s.Version}, c); err != nil {
		return err
	}
	doc := &c.Document
	within(suspect, doc)
	r.Findings = append(r.Findings, doc.Findings...)
	for _, f := range doc.NotUnderstood {
		r.Inquiry.NotUnderstood = append(r.Inquiry.NotUnderstood, path.Join(f.File, f.Member)+": "+f.Summary)
	}
	for _, k := range doc.Skips {
		r.Inquiry.Unread = append(r.Inquiry.Unread, k.Path+": "+k.Reason)
	}
	k := &keeper{session: s, inc: inc, suspect: suspect}
	for i := range doc.Files {
		if doc.Files[i].Verdict < finding.Suspicious {
			continue
		}
		if err := k.flagged(ctx, doc.Files[i], doc.Findings); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return fmt.Errorf("encode scan: %w", err)
	}
	return k.seal(ctx, evidence.Item{Type: itemScan, Name: "scan.json", Origin: suspect}, func() (artifact.Digest, int64, error) {
		return s.vault.Put(ctx, bytes.NewReader(data))
	})
}

// within names files by their path in the suspect, as the rest of an inquiry
// does.
func within(suspect string, doc *report.ScanDocument) {
	shown := filepath.ToSlash(filepath.Clean(suspect))
	rel := func(p string) string {
		if p == shown {
			return path.Base(p)
		}
		return strings.TrimPrefix(strings.TrimPrefix(p, shown), "/")
	}
	for i := range doc.Findings {
		doc.Findings[i].File = rel(doc.Findings[i].File)
	}
	for i := range doc.NotUnderstood {
		doc.NotUnderstood[i].File = rel(doc.NotUnderstood[i].File)
	}
	for i := range doc.Files {
		doc.Files[i].Path = rel(doc.Files[i].Path)
	}
	for i := range doc.Skips {
		doc.Skips[i].Path = rel(doc.Skips[i].Path)
	}
}

// keeper seals what a scan flagged.
type keeper struct {
	*session
	inc     *incident.Incident
	suspect string
}

// open opens a file of the suspect, or the suspect that is one file.
func (k *keeper) open(name string) (*os.Root, string, error) {
	info, err := os.Stat(k.suspect)
	if err != nil {
		return nil, "", err
	}
	dir := k.suspect
	if !info.IsDir() {
		resolved, err := filepath.EvalSymlinks(k.suspect)
		if err != nil {
			return nil, "", err
		}
		dir, name = filepath.Dir(resolved), filepath.Base(resolved)
	}
	root, err := os.OpenRoot(dir)
	return root, name, err
}

// flagged seals a file, or of a large one the bytes that findings point at.
func (k *keeper) flagged(ctx context.Context, f report.ScanFile, findings []finding.Finding) error {
	item := evidence.Item{Type: itemFlaggedFile, Name: f.Path, Origin: path.Join(filepath.ToSlash(k.suspect), f.Path), Notes: []string{f.Verdict.String() + ": " + f.Reason}}
	root, name, err := k.open(f.Path)
	if err != nil {
		return k.gap(ctx, item, err)
	}
	defer func() { _ = root.Close() }()
	if f.Bytes <= maxFlaggedFile {
		return k.seal(ctx, item, func() (artifact.Digest, int64, error) { return k.vault.PutFile(ctx, root, name) })
	}
	inside := false
	for i := range findings {
		if findings[i].File != f.Path || findings[i].Offset < 0 {
			continue
		}
		if findings[i].Member != "" { // its offset is that in the member
			inside = true
			continue
		}
		if err := k.stretch(ctx, root, name, f, &findings[i]); err != nil {
			return err
		}
	}
	if inside {
		item.Type = itemFlaggedBytes
		return k.gap(ctx, item, fmt.Errorf("what is flagged lies in members of a file of %d bytes: take a copy of the file", f.Bytes))
	}
	return nil
}

// stretch seals what a finding points at in a large file.
func (k *keeper) stretch(ctx context.Context, root *os.Root, name string, f report.ScanFile, hit *finding.Finding) error {
	from := max(0, hit.Offset-aroundFlagged)
	to := min(f.Bytes, hit.Offset+min(hit.Length, maxFlaggedBytes)+aroundFlagged)
	item := evidence.Item{
		Type: itemFlaggedBytes, Name: fmt.Sprintf("%s@%d", f.Path, from), Origin: path.Join(filepath.ToSlash(k.suspect), f.Path),
		Notes: []string{fmt.Sprintf("bytes %d to %d of %d, flagged at %d by %s: %s", from, to, f.Bytes, hit.Offset, hit.Rule, hit.Summary)},
	}
	return k.seal(ctx, item, func() (artifact.Digest, int64, error) {
		file, _, err := fsop.OpenRegular(root, name)
		if err != nil {
			return artifact.Digest{}, 0, err
		}
		defer func() { _ = file.Close() }()
		return k.vault.Put(ctx, io.NewSectionReader(file, from, to-from))
	})
}

// seal puts an item into the vault and records it, unless the same was sealed
// before.
func (k *keeper) seal(ctx context.Context, item evidence.Item, put func() (artifact.Digest, int64, error)) error {
	item.CollectedAt = k.Now().UTC()
	var err error
	if item.SHA256, item.Size, err = put(); err != nil {
		return k.gap(ctx, item, err)
	}
	known := slices.ContainsFunc(k.inc.Evidence, func(i evidence.Item) bool {
		return i.Type == item.Type && i.Name == item.Name && i.SHA256 == item.SHA256
	})
	if known {
		return nil
	}
	responder := k.responder()
	return responder.Record(ctx, k.inc.ID, responder.Draft(incident.KindSealed, item))
}

// gap records what could not be sealed; who stops the program has lost nothing.
func (k *keeper) gap(ctx context.Context, item evidence.Item, why error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	responder := k.responder()
	return responder.Record(ctx, k.inc.ID, responder.Draft(incident.KindGap, evidence.Gap{
		Type: item.Type, Name: item.Name, Origin: item.Origin, Reason: why.Error(),
	}))
}
