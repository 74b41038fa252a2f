package check

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// stamps hold, by inode, the digest that a file had when it was last read.
type stamps struct {
	mu    sync.Mutex
	files map[fsop.ID]stamped
	busy  map[fsop.Stamp]chan struct{}
}

type stamped struct {
	stamp  fsop.Stamp
	digest artifact.Digest
}

// maxStamps bounds how many files are remembered.
const maxStamps = 1 << 18

func (s *stamps) note(f artifact.File, info fs.FileInfo) {
	stamp, err := fsop.StampOf(info)
	if err == nil {
		s.put(stamp, f.Digest)
	}
}

func (s *stamps) put(stamp fsop.Stamp, d artifact.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil || len(s.files) >= maxStamps {
		s.files = map[fsop.ID]stamped{}
	}
	s.files[stamp.ID] = stamped{stamp, d}
}

func (s *stamps) get(stamp fsop.Stamp) (artifact.Digest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[stamp.ID]
	return f.digest, ok && f.stamp == stamp
}

// Vouching is what can be said of a file that somebody is about to open.
type Vouching int

// The vouchings.
const (
	// Unknown means that it could not be found out, or not in time.
	Unknown Vouching = iota
	// Good is the file of the baseline.
	Good
	// Bad is another one.
	Bad
)

// Vouch says whether the open file f, at path in the tree of the model, is the
// file of the baseline, and why not. What was read before and has not changed
// since, as far as the system tells, is not read again; anything else is, and
// goes on being read when ctx has ended, so that the next one who asks is told.
func (l *Live) Vouch(ctx context.Context, model, path string, f *os.File) (Vouching, string) {
	s := l.model(model)
	if s == nil {
		return Unknown, "it is no model of the configuration"
	}
	s.verdict.Lock()
	base := s.base
	s.verdict.Unlock()
	if base == nil {
		return Unknown, "the model was not looked at yet, or has no baseline"
	}
	if base.Revoked != "" {
		return Bad, "nobody vouches for the baseline any more: " + base.Revoked
	}
	files := base.Manifest.Files
	i, ok := slices.BinarySearchFunc(files, path, func(o artifact.File, p string) int { return cmp.Compare(o.Path, p) })
	switch {
	case len(files) == 1 && path == "":
		i = 0
	case !ok:
		return Bad, "it is not in the baseline"
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return Unknown, err.Error()
	case !info.Mode().IsRegular() || files[i].Kind != artifact.Regular:
		return Unknown, "it is no regular file"
	case info.Size() != files[i].Size:
		return Bad, "it has another size than in the baseline"
	}
	digest, err := l.digest(ctx, f, info)
	switch {
	case err != nil:
		return Unknown, err.Error()
	case digest != files[i].Digest:
		return Bad, "it is not the file of the baseline"
	}
	return Good, ""
}

// digest returns the digest of an open file, from memory where that holds.
func (l *Live) digest(ctx context.Context, f *os.File, info fs.FileInfo) (artifact.Digest, error) {
	stamp, err := fsop.StampOf(info)
	if err != nil {
		return artifact.Digest{}, err
	}
	for {
		if d, ok := l.stamps.get(stamp); ok {
			return d, nil
		}
		done, err := l.reading(f, stamp)
		if err != nil {
			return artifact.Digest{}, err
		}
		select {
		case <-ctx.Done():
			return artifact.Digest{}, fmt.Errorf("it takes longer to read it: %w", ctx.Err())
		case <-done:
		}
		if _, ok := l.stamps.get(stamp); !ok {
			return artifact.Digest{}, fmt.Errorf("it %w", errMoved)
		}
	}
}

// errMoved is a file that changed while it was read.
var errMoved = fmt.Errorf("changed while it was read")

// reading reads a file for all who ask about it, to its end. It has a
// descriptor of its own, since who asks may leave.
func (l *Live) reading(f *os.File, stamp fsop.Stamp) (<-chan struct{}, error) {
	l.stamps.mu.Lock()
	defer l.stamps.mu.Unlock()
	if done := l.stamps.busy[stamp]; done != nil {
		return done, nil
	}
	own, err := fsop.Duplicate(f)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	if l.stamps.busy == nil {
		l.stamps.busy = map[fsop.Stamp]chan struct{}{}
	}
	l.stamps.busy[stamp] = done
	go func() {
		h := sha256.New()
		_, err := io.Copy(h, io.NewSectionReader(own, 0, stamp.Size+1))
		after, statErr := own.Stat()
		_ = own.Close()
		if err == nil && statErr == nil {
			if now, err := fsop.StampOf(after); err == nil && now == stamp {
				if d, err := artifact.NewDigest(artifact.SHA256, h.Sum(nil)); err == nil {
					l.stamps.put(stamp, d)
				}
			}
		}
		l.stamps.mu.Lock()
		delete(l.stamps.busy, stamp)
		l.stamps.mu.Unlock()
		close(done)
	}()
	return done, nil
}
