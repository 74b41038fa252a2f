// Package compressed has the content of compressed streams scanned: gzip,
// bzip2 and zlib, which joblib and others open without being asked. It
// accounts for the stream and for what stands behind it. Other compressions
// are left to the scanner to call unknown.
package compressed

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Detector hands over what is compressed.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

const ruleTail = "WW-COMPRESSED-001"

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	formats := []artifact.Format{artifact.Gzip, artifact.Bzip2, artifact.Zlib, artifact.ZFile}
	return detect.Info{
		Name: "compressed", Formats: formats, Covers: formats,
		Rules: []detect.Rule{{
			ID: ruleTail, Title: "bytes behind a compressed stream", Severity: finding.Medium, Verdict: finding.Suspicious,
			Techniques: []string{"AML.T0018.002"},
			About:      "Behind the end of the compressed stream there are bytes that no reader of the stream sees. They were probed for formats that load or run.",
			Do:         "Find out what wrote the file, and what the bytes are.", Misses: "Further streams of gzip and bzip2 are read as part of the content, as their readers do.",
			Cases: []int{41},
		}},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	size := in.Data.Size()
	from := start(in)
	m := detect.Member{
		Offset: from, Size: -1, Packed: size,
		// The arrays of old joblib files are numbers without a header.
		Opaque: in.Format == artifact.ZFile && strings.HasSuffix(in.Name, ".npy.z"),
		Open: func() (io.ReadCloser, error) {
			return open(in.Format, bufio.NewReader(io.NewSectionReader(in.Data, from, size-from)))
		},
	}
	if err := out.Nested(ctx, m); err != nil || in.Format != artifact.Zlib && in.Format != artifact.ZFile {
		return err
	}
	return tail(ctx, in, out, from)
}

// start is where the stream begins. Before version 0.10 joblib put "ZF" and
// the size in front of it, in hexadecimal and padded with spaces.
func start(in detect.Input) int64 {
	if in.Format != artifact.ZFile {
		return 0
	}
	var head [24]byte
	n, _ := in.Data.ReadAt(head[:], 0)
	for i := 4; i < n; i++ {
		if head[i] == 'x' {
			return int64(i)
		}
	}
	return int64(n)
}

func open(f artifact.Format, r *bufio.Reader) (io.ReadCloser, error) {
	switch f {
	case artifact.Gzip:
		return gzip.NewReader(r)
	case artifact.Bzip2:
		return io.NopCloser(bzip2.NewReader(r)), nil
	default:
		return zlib.NewReader(r)
	}
}

// counter counts what a decompressor takes. It is a byte reader, so that the
// decompressor takes no more than it needs.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// tail reports what stands behind a zlib stream, which has no way to say that
// another one follows.
func tail(ctx context.Context, in detect.Input, out detect.Sink, from int64) error {
	size := in.Data.Size()
	c := &counter{r: bufio.NewReader(io.NewSectionReader(in.Data, from, size-from)), n: from}
	r, err := zlib.NewReader(c)
	if err != nil {
		return nil //nolint:nilerr // the scanner says so when it unpacks
	}
	for ctx.Err() == nil {
		if _, err = io.CopyN(io.Discard, r, 1<<20); err != nil {
			break
		}
	}
	if !errors.Is(err, io.EOF) || c.n >= size {
		return ctx.Err()
	}
	out.Hit(detect.Hit{Rule: ruleTail, Offset: c.n, Length: size - c.n, Summary: fmt.Sprintf("%d bytes behind the compressed stream", size-c.n)})
	return out.Nested(ctx, detect.Member{Name: "(tail)", Offset: c.n, Opaque: true, Data: io.NewSectionReader(in.Data, c.n, size-c.n)})
}
