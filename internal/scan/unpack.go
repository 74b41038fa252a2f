package scan

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/weightwarden/weightwarden/internal/detect"
)

// unpacked is a decompressed member that can be read at random.
type unpacked struct {
	data    *io.SectionReader
	release func()
}

// maxRatio and ratioFrom say from when on growth is suspicious: more than 200
// times the packed size, and more than four million bytes.
const (
	maxRatio  = 200
	ratioFrom = 4_000_000
)

// unpack decompresses a member once, to learn its size and whether it is whole.
// What fits the limit of memory is kept; the rest is decompressed again when
// it is read. The error is that of the context.
func (s *sink) unpack(ctx context.Context, m detect.Member, member string) (*unpacked, error) {
	r, err := m.Open()
	if err != nil {
		s.own(detect.RuleDecompress, member, m.Offset, "cannot be decompressed: %v", err)
		return &unpacked{io.NewSectionReader(bytes.NewReader(nil), 0, 0), func() {}}, nil
	}
	keep := max(s.opts.Limits.Memory-s.memory, minKept)
	limit := s.opts.Limits.Output + 4*s.file.Bytes - s.output
	kept, size, err := drain(ctx, r, keep, limit)
	_ = r.Close()
	s.output += size
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, errOutput):
		s.own(detect.RuleOutput, member, m.Offset, "decompresses to more than %d bytes", limit)
	case err != nil:
		s.own(detect.RuleDecompress, member, m.Offset, "cannot be decompressed beyond %d bytes: %v", size, err)
	}
	if size > ratioFrom && m.Packed > 0 && size/m.Packed > maxRatio {
		s.own(detect.RuleRatio, member, m.Offset, "%d bytes decompress to %d", m.Packed, size)
	}
	if size == int64(len(kept)) {
		s.memory += size
		return &unpacked{io.NewSectionReader(bytes.NewReader(kept), 0, size), func() { s.memory -= size }}, nil
	}
	head := bytes.Clone(kept[:min(len(kept), minKept)])
	again := &rewinder{ctx: ctx, open: m.Open, head: head}
	return &unpacked{io.NewSectionReader(again, 0, size), again.close}, nil
}

// minKept is kept of every stream, whatever the memory.
const minKept = 1 << 20

var errOutput = errors.New("output limit")

// drain reads r to its end or to limit, and keeps at most keep bytes.
func drain(ctx context.Context, r io.Reader, keep, limit int64) (kept []byte, size int64, err error) {
	buf := make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return kept, size, err
		}
		n, err := r.Read(buf)
		size += int64(n)
		if room := keep - int64(len(kept)); room > 0 {
			kept = append(kept, buf[:min(int64(n), room)]...)
		}
		switch {
		case errors.Is(err, io.EOF):
			return kept, size, nil
		case err != nil:
			return kept, size, err
		case size > limit:
			return kept, size, errOutput
		}
	}
}

// rewinder reads a stream at random: forward by skipping, back by starting
// again. The start and the last stretch are kept. One goroutine uses it.
type rewinder struct {
	ctx  context.Context //nolint:containedctx // the reader lives as long as one judgement
	open func() (io.ReadCloser, error)
	head []byte
	// window holds the bytes before at, which is where r stands.
	r      io.ReadCloser
	at     int64
	window []byte
}

// windowSize is how far back reading costs nothing.
const windowSize = 256 << 10

// ReadAt implements io.ReaderAt.
func (w *rewinder) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		part, err := w.read(p[n:], off+int64(n))
		n += part
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// read fills at least one byte of p from off.
func (w *rewinder) read(p []byte, off int64) (int, error) {
	if off < int64(len(w.head)) {
		return copy(p, w.head[off:]), nil
	}
	if start := w.at - int64(len(w.window)); w.r != nil && off >= start && off < w.at {
		return copy(p, w.window[off-start:]), nil
	}
	if w.r == nil || off < w.at {
		if err := w.restart(); err != nil {
			return 0, err
		}
	}
	for w.at <= off {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	return copy(p, w.window[off-(w.at-int64(len(w.window))):]), nil
}

func (w *rewinder) restart() error {
	w.close()
	r, err := w.open()
	if err != nil {
		return err
	}
	w.r, w.at, w.window = r, 0, w.window[:0]
	return nil
}

// fill reads the next stretch.
func (w *rewinder) fill() error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if w.window == nil {
		w.window = make([]byte, 0, 2*windowSize)
	}
	if len(w.window) > windowSize {
		w.window = append(w.window[:0], w.window[len(w.window)-windowSize:]...)
	}
	n, err := io.ReadAtLeast(w.r, w.window[len(w.window):cap(w.window)], 1)
	w.window = w.window[:len(w.window)+n]
	w.at += int64(n)
	if n > 0 {
		return nil
	}
	return err
}

func (w *rewinder) close() {
	if w.r != nil {
		_ = w.r.Close()
		w.r = nil
	}
}
