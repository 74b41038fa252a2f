// Package baseline keeps the trusted state of a deployed model and compares
// the model with it. It takes no decision about incidents.
package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// Baseline is the manifest of a model that somebody vouches for, or nobody.
type Baseline struct {
	Model       string
	Path        string
	Established time.Time
	Voucher     trust.Voucher
	Who         string
	// Document is the digest of the stored form.
	Document artifact.Digest
	Root     artifact.Digest
	// Key and Signed are those of [trust.BaselineSet].
	Key    string
	Signed artifact.Digest
	// Revoked says why nobody vouches for it any more, if so.
	Revoked  string
	Manifest *manifest.Manifest
}

// Trusted reports whether somebody vouches for the baseline, and is not on the
// deny-list.
func (b *Baseline) Trusted() bool {
	return b.Revoked == "" && trust.BaselineSet{Voucher: b.Voucher}.Trusted()
}

// Documents keeps signed documents.
type Documents interface {
	// Put stores doc under its name, signed.
	Put(ctx context.Context, kind, name string, doc []byte, at time.Time) error
	// Get returns a document whose signature is right. It fails with a
	// NotFound fault, or an Untrusted one when the signature is not right.
	Get(ctx context.Context, kind, name string) (doc []byte, at time.Time, err error)
}

// Store keeps baselines: the documents beside the ledger, which of them holds
// in the ledger.
type Store struct {
	Documents Documents
	Ledger    evidence.Ledger
	// Decoded, where set, spares a process that stays to decode the same
	// document again and again. What is stored is read and verified each time.
	Decoded *Decoded
}

// Decoded holds the last manifest of each model, with the digest of the document
// that it was in. The zero value is ready. Manifests are never written to.
type Decoded struct {
	mu     sync.Mutex
	models map[string]decoded
}

type decoded struct {
	document artifact.Digest
	manifest *manifest.Manifest
}

func (d *Decoded) get(model string, document artifact.Digest) *manifest.Manifest {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if have := d.models[model]; have.document == document {
		return have.manifest
	}
	return nil
}

func (d *Decoded) put(model string, document artifact.Digest, m *manifest.Manifest) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.models == nil {
		d.models = map[string]decoded{}
	}
	d.models[model] = decoded{document, m}
}

// kind is the kind of the stored documents.
const kind = "baseline"

// ErrAltered says that a stored baseline is not the one that was recorded.
// Loading returns it wrapped in an Untrusted fault.
var ErrAltered = errors.New("the stored baseline is not the one that was recorded")

// document is the stored form. The manifest is text, since its own encoding is
// exact to the byte.
type document struct {
	Version  int    `json:"version"`
	Model    string `json:"model"`
	Path     string `json:"path"`
	Manifest string `json:"manifest"`
}

// Load returns the baseline that holds for the model. It fails with a
// NotFound fault when there is none, and with ErrAltered when what is stored
// is not what the record says.
func (s Store) Load(ctx context.Context, state *trust.State, model string) (*Baseline, error) {
	set, ok := state.Baseline(model)
	if !ok {
		return nil, fault.New(fault.NotFound, "model %s has no baseline", artifact.Quote(model)).
			WithHint("take one: weightwarden baseline create %s", model)
	}
	b, err := s.open(ctx, set)
	if err != nil {
		return nil, err
	}
	b.Revoked = state.Revoked(set.Body)
	if d, denied := state.DeniedAmong(b.Root, b.Manifest.Files); denied && b.Revoked == "" {
		b.Revoked = d.Body.String()
	}
	return b, nil
}

// Past returns a baseline of the model's history: the newest whose root digest
// begins with the digits given. It fails like [Store.Load].
func (s Store) Past(ctx context.Context, state *trust.State, model, root string) (*Baseline, error) {
	for _, set := range slices.Backward(state.Baselines[model]) {
		if root != "" && strings.HasPrefix(set.Body.Root.String(), root) {
			return s.open(ctx, set)
		}
	}
	return nil, fault.New(fault.NotFound, "model %s had no baseline with a root digest that begins with %s",
		artifact.Quote(model), artifact.Quote(root)).WithHint("see them all: weightwarden baseline show %s", model)
}

func (s Store) open(ctx context.Context, set trust.At[trust.BaselineSet]) (*Baseline, error) {
	body := set.Body
	raw, _, err := s.Documents.Get(ctx, kind, body.Document.Hex())
	switch k := fault.KindOf(err); {
	case err != nil && (k == fault.NotFound || k == fault.Untrusted):
		return nil, altered(body.Model, err)
	case err != nil:
		return nil, fmt.Errorf("load baseline of %s: %w", artifact.Quote(body.Model), err)
	case artifact.SHA256Of(raw) != body.Document:
		return nil, altered(body.Model, errors.New("its digest differs"))
	}
	m := s.Decoded.get(body.Model, body.Document)
	if m == nil {
		if m, err = decode(raw); err == nil && m.Root() != body.Root {
			err = errors.New("its root digest differs")
		}
		if err != nil {
			return nil, altered(body.Model, err)
		}
		s.Decoded.put(body.Model, body.Document, m)
	}
	return &Baseline{
		Model: body.Model, Path: body.Path, Established: set.Time, Voucher: body.Voucher, Who: body.Who,
		Document: body.Document, Root: body.Root, Key: body.Key, Signed: body.Signed, Manifest: m,
	}, nil
}

func altered(model string, cause error) error {
	return fault.New(fault.Untrusted, "baseline of %s: %w: %v", artifact.Quote(model), ErrAltered, cause).
		WithHint("treat it as an incident; the history is in: weightwarden baseline show %s", model)
}

func decode(raw []byte) (*manifest.Manifest, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	if doc.Version != 1 {
		return nil, fmt.Errorf("read baseline: version %d", doc.Version)
	}
	return manifest.Decode(strings.NewReader(doc.Manifest), manifest.Limits{})
}

// Save makes m the baseline of the model. A manifest with problems is an
// Incomplete fault: a baseline with holes would call the holes healthy. So is
// one without a file: a directory that nothing was copied to yet, or whose
// volume is not mounted, is no model.
func (s Store) Save(ctx context.Context, set trust.BaselineSet, m *manifest.Manifest, at time.Time, actor string) error {
	if len(m.Problems) > 0 {
		p := m.Problems[0]
		return fault.New(fault.Incomplete, "take baseline of %s: %d paths could not be taken; %s: %s",
			artifact.Quote(set.Model), len(m.Problems), artifact.Quote(p.Path), p.Reason).
			WithHint("make the model readable and free of special files, then try again")
	}
	if m.Root().IsZero() {
		return fault.New(fault.Incomplete, "take baseline of %s: there is no file in %s", artifact.Quote(set.Model), artifact.Quote(set.Path)).
			WithHint("check the model's path in the configuration, and that its volume is mounted")
	}
	body, err := m.Encode()
	if err != nil {
		return fmt.Errorf("encode baseline: %w", err)
	}
	doc, err := json.Marshal(document{1, set.Model, set.Path, string(body)})
	if err != nil {
		return fmt.Errorf("encode baseline: %w", err)
	}
	set.Document, set.Root = artifact.SHA256Of(doc), m.Root()
	// The document first: until the ledger points to it, it means nothing.
	if err := s.Documents.Put(ctx, kind, set.Document.Hex(), doc, at); err != nil {
		return fmt.Errorf("store baseline: %w", err)
	}
	_, err = s.Ledger.Append(ctx, trust.Log, evidence.Any,
		evidence.Draft{Time: at, Actor: actor, Kind: trust.KindBaseline, Body: set})
	if err != nil {
		return fmt.Errorf("record baseline: %w", err)
	}
	return nil
}
