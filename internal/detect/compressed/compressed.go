// Package compressed has the content of compressed streams scanned: gzip,
// bzip2, zlib, xz, lzma and lz4, which joblib and others open without being
// asked, and zstd, in which registries store layers. It accounts for the stream
// and for what stands behind it. Other compressions are left to the scanner to
// call unknown.
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

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/lzma"
)

// Detector hands over what is compressed.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleTail   = "WW-COMPRESSED-001"
	ruleUnread = "WW-COMPRESSED-002"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	formats := []artifact.Format{
		artifact.Gzip, artifact.Bzip2, artifact.Zlib, artifact.ZFile, artifact.XZ, artifact.LZMA, artifact.LZ4, artifact.Zstd,
	}
	return detect.Info{
		Name: "compressed", Formats: formats, Covers: formats,
		Rules: []detect.Rule{{
			ID: ruleTail, Title: "bytes behind a compressed stream", Severity: finding.Medium, Verdict: finding.Suspicious,
			Techniques: []string{"AML.T0018.002"},
			About:      "Behind the end of the compressed stream there are bytes that no reader of the stream sees. They were probed for formats that load or run.",
			Do:         "Find out what wrote the file, and what the bytes are.", Misses: "Further streams are read as part of the content, as their readers do; bytes behind them that are no stream are [WW-SCAN-016](WW-SCAN-016.md).",
			Cases: []int{41},
		}, {
			ID: ruleUnread, Title: "compressed in a form that is not read", Severity: finding.Medium, Verdict: finding.Inconclusive,
			Techniques: []string{"AML.T0076"},
			About:      "The stream uses a filter that is not known, or its header asks for a dictionary of more than 64 MiB. Nothing was decompressed.",
			Do:         "Decompress the stream away from production and scan what comes out.", Misses: "All of the content.",
			Cases: []int{41},
		}},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	size := in.Data.Size()
	from := start(in)
	open, err := opener(in, from)
	switch {
	case errors.Is(err, lzma.ErrUnsupported), errors.Is(err, lzma.ErrLimit), errors.Is(err, errWindow):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		open = func() (io.ReadCloser, error) { return nil, err }
	}
	m := detect.Member{
		Offset: from, Size: -1, Packed: size, Open: open,
		// The arrays of old joblib files are numbers without a header.
		Opaque: in.Format == artifact.ZFile && strings.HasSuffix(in.Name, ".npy.z"),
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

// maxWindow is how far back zstd may refer, in bytes. Only levels above 20,
// which have to be asked for with --ultra, use more.
const maxWindow = 64 << 20

var errWindow = errors.New("the window is larger than 64 MiB")

// window looks at what the first frame of zstd asks for.
func window(r *bufio.Reader) error {
	head, err := r.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var h zstd.Header
	if h.Decode(head) == nil && !h.SingleSegment && h.WindowSize > maxWindow {
		return errWindow
	}
	return nil
}

// opener returns what decompresses the stream from its start. An error says
// that the stream's own headers cannot be followed.
func opener(in detect.Input, from int64) (func() (io.ReadCloser, error), error) {
	stream := func() *bufio.Reader {
		return bufio.NewReader(io.NewSectionReader(in.Data, from, in.Data.Size()-from))
	}
	switch in.Format {
	case artifact.Gzip:
		return func() (io.ReadCloser, error) { return gzip.NewReader(stream()) }, nil
	case artifact.Bzip2:
		return plain(func() (io.Reader, error) { return bzip2.NewReader(stream()), nil }), nil
	case artifact.LZ4:
		return plain(func() (io.Reader, error) { return lz4.NewReader(stream()), nil }), nil
	case artifact.XZ:
		x, err := lzma.ReadXZ(in.Data, in.Data.Size())
		return plain(func() (io.Reader, error) { return x.Open(), nil }), err
	case artifact.LZMA:
		_, err := lzma.NewAlone(stream())
		return plain(func() (io.Reader, error) { return lzma.NewAlone(stream()) }), err
	case artifact.Zstd:
		return func() (io.ReadCloser, error) {
			r, err := zstd.NewReader(stream(), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			return r.IOReadCloser(), nil
		}, window(stream())
	default:
		return func() (io.ReadCloser, error) { return zlib.NewReader(stream()) }, nil
	}
}

// plain is for readers that need no closing.
func plain(open func() (io.Reader, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		r, err := open()
		return io.NopCloser(r), err
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
