// Package tar accounts for tar archives: every member goes on to be scanned,
// links and devices are reported with where they lead, and so is what stands
// between and behind the members. It does not know what the members mean.
package tar

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Detector accounts for tar archives.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleBroken  = "WW-TAR-001"
	ruleTail    = "WW-TAR-002"
	ruleThrough = "WW-TAR-003"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Find out how the archive was made. Do not unpack it outside of a place made for that."
	return detect.Info{
		Name: "tar", Formats: []artifact.Format{artifact.Tar}, Covers: []artifact.Format{artifact.Tar},
		Rules: []detect.Rule{
			{ID: ruleBroken, Title: "malformed tar", Severity: finding.Medium, Verdict: finding.Inconclusive, Techniques: []string{"AML.T0076"}, About: "The archive cannot be read on. Members before that were scanned.", Do: look, Misses: "What follows.", Cases: []int{33}},
			{ID: ruleTail, Title: "bytes behind a tar", Severity: finding.Medium, Verdict: finding.Suspicious, Techniques: []string{"AML.T0018.002"}, About: "Behind the end of the archive there are bytes that are not zero.", Do: look, Misses: "Padding inside of members.", Cases: []int{47}},
			{ID: ruleThrough, Title: "a tar writes through its own link", Severity: finding.Critical, Verdict: finding.Malicious, Techniques: []string{"AML.T0011.000"}, About: "A member lies below a link that an earlier member made: unpacking writes where the link leads.", Do: look, Misses: "Links that exist already where it is unpacked.", Cases: []int{50}},
		},
	}
}

// kinds are the types that are no plain file.
var kinds = map[byte]artifact.Kind{
	tar.TypeDir: artifact.Directory, tar.TypeSymlink: artifact.Symlink, tar.TypeLink: artifact.Symlink,
	tar.TypeChar: artifact.Device, tar.TypeBlock: artifact.Device, tar.TypeFifo: artifact.FIFO,
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	section := io.NewSectionReader(in.Data, 0, in.Data.Size())
	r := tar.NewReader(section)
	var links []string
	for {
		h, err := r.Next()
		at, _ := section.Seek(0, io.SeekCurrent)
		if errors.Is(err, io.EOF) {
			return tail(ctx, in, out, at)
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			out.Hit(detect.Hit{Rule: ruleBroken, Offset: at, Summary: fmt.Sprintf("the archive cannot be read on: %v", err)})
			return nil
		}
		m := detect.Member{Name: h.Name, Offset: at, Kind: kinds[h.Typeflag], Target: h.Linkname, Size: h.Size}
		for _, l := range links {
			if strings.HasPrefix(h.Name, l+"/") {
				out.Hit(detect.Hit{Rule: ruleThrough, Offset: at, Node: h.Name, Summary: fmt.Sprintf("the member %.80q is written through the link %.80q", h.Name, l)})
			}
		}
		if m.Kind == artifact.Symlink {
			links = append(links, strings.TrimSuffix(h.Name, "/"))
		}
		if err := member(ctx, in, out, m, h); err != nil {
			return err
		}
	}
}

// member hands one member over. A sparse file is not in the archive as it is.
func member(ctx context.Context, in detect.Input, out detect.Sink, m detect.Member, h *tar.Header) error {
	switch {
	case m.Kind == artifact.Directory:
		return nil
	case m.Kind == "" && (h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != ""):
		out.Hit(detect.Hit{Rule: ruleBroken, Offset: m.Offset, Node: h.Name, Summary: fmt.Sprintf("the member %.80q is sparse", h.Name)})
		return nil
	case m.Kind == "":
		m.Data = io.NewSectionReader(in.Data, m.Offset, min(h.Size, in.Data.Size()-m.Offset))
	}
	return out.Nested(ctx, m)
}

// tail looks at what stands behind the end.
func tail(ctx context.Context, in detect.Input, out detect.Sink, at int64) error {
	buf := make([]byte, 64<<10)
	for at < in.Data.Size() {
		n, err := in.Data.ReadAt(buf, at)
		for i, c := range buf[:n] {
			if c != 0 {
				from, size := at+int64(i), in.Data.Size()
				out.Hit(detect.Hit{Rule: ruleTail, Offset: from, Length: size - from, Summary: fmt.Sprintf("%d bytes behind the archive", size-from)})
				return out.Nested(ctx, detect.Member{Name: "(tail)", Offset: from, Opaque: true, Data: io.NewSectionReader(in.Data, from, size-from)})
			}
		}
		at += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}
