package baseline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/manifest"
)

// The kinds of documents that make later checks cheaper. They vouch for
// nothing: without them a check reads everything.
const (
	// blocksKind holds the block tags of a baseline, named by its document.
	blocksKind = "blocks"
	// fullKind holds, named by the model, the digest of the baseline document
	// that the model was last compared with in full, and when.
	fullKind = "full_check"
)

// Blocks returns the block tags of the baseline. It fails with a NotFound
// fault when there are none that the secret is good for, and with ErrAltered
// when they are not the ones that were stored.
func (s Store) Blocks(ctx context.Context, b *Baseline, secret []byte) (*manifest.Blocks, error) {
	raw, _, err := s.Documents.Get(ctx, blocksKind, b.Document.Hex())
	switch {
	case fault.KindOf(err) == fault.Untrusted:
		return nil, altered(b.Model, err)
	case err != nil:
		return nil, fmt.Errorf("load block tags of %s: %w", artifact.Quote(b.Model), err)
	}
	blocks, err := manifest.DecodeBlocks(raw, secret, b.Manifest)
	if errors.Is(err, manifest.ErrSecret) {
		return nil, fault.New(fault.NotFound, "load block tags of %s: %w", artifact.Quote(b.Model), err)
	}
	if err != nil {
		return nil, altered(b.Model, err)
	}
	return blocks, nil
}

// LastFull returns when the model was last read as a whole and found to be
// what this baseline says; the zero time when it never was. It fails with
// ErrAltered when the record of it was altered.
func (s Store) LastFull(ctx context.Context, b *Baseline) (time.Time, error) {
	doc, at, err := s.Documents.Get(ctx, fullKind, b.Model)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return time.Time{}, nil
	case fault.KindOf(err) == fault.Untrusted:
		return time.Time{}, altered(b.Model, err)
	case err != nil:
		return time.Time{}, fmt.Errorf("load last full check of %s: %w", artifact.Quote(b.Model), err)
	case string(doc) != b.Document.Hex():
		return time.Time{}, nil
	}
	return at, nil
}

// RecordFull records that the model was read as a whole at the given time and
// is what the baseline says. With blocks, made in that reading, later checks
// compare by them.
func (s Store) RecordFull(ctx context.Context, b *Baseline, blocks *manifest.Blocks, at time.Time) error {
	if blocks != nil {
		raw, err := blocks.Encode(b.Manifest)
		if err != nil {
			return err
		}
		if err := s.Documents.Put(ctx, blocksKind, b.Document.Hex(), raw, at); err != nil {
			return fmt.Errorf("store block tags: %w", err)
		}
	}
	if err := s.Documents.Put(ctx, fullKind, b.Model, []byte(b.Document.Hex()), at); err != nil {
		return fmt.Errorf("store last full check: %w", err)
	}
	return nil
}
