package bundle

import (
	"bytes"
	"errors"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// readSeal verifies the last member and that nothing stands behind it. Where
// its content ends follows from the content, so its header is known too.
func (v *verifier) readSeal() error {
	start := v.pos
	if start+block > v.size {
		v.add(Truncated, sealName, v.size, 0, "the file ends at byte %d, in front of the seal", v.size)
		return nil
	}
	rest := make([]byte, min(v.size-start, block+maxSeal+2*block))
	if _, err := v.r.ReadAt(rest, start); err != nil && !errors.Is(err, io.EOF) {
		return unreadable(err)
	}
	content := rest[block:]
	end := bytes.IndexByte(content, '\n') + 1
	if end == 0 {
		v.add(Truncated, sealName, start, v.size-start, "the seal is not there, or has no end")
		return nil
	}
	content = content[:end]
	if at, differ := firstDifference(rest[:block], header(sealName, int64(end))); differ > 0 {
		v.add(Altered, sealName, start+int64(at), int64(differ), "the header differs from its one form, first at byte %d", start+int64(at))
	}
	v.pos = start + block
	if err := v.padding(sealName, int64(end)); err != nil {
		return err
	}
	if err := v.tail(); err != nil {
		return err
	}
	seal, err := parseLine[Seal](content)
	if err != nil {
		v.add(Unsealed, sealName, start+block, int64(end), "the seal cannot be read: %s", artifact.Quote(err.Error()))
		return nil
	}
	v.judge(seal, start)
	return nil
}

// tail looks at the two empty blocks that end a tar file, and behind them.
func (v *verifier) tail() error {
	n := max(0, min(v.size-v.pos, 2*block))
	buf := make([]byte, n)
	if _, err := v.r.ReadAt(buf, v.pos); err != nil && !errors.Is(err, io.EOF) {
		return unreadable(err)
	}
	if at, differ := firstDifference(buf, make([]byte, n)); differ > 0 {
		v.add(Altered, "", v.pos+int64(at), int64(differ), "the end of the archive is not empty at byte %d", v.pos+int64(at))
	}
	switch end := v.pos + 2*block; {
	case v.pos <= v.size && v.size < end:
		v.add(Truncated, "", v.size, end-v.size, "the file ends at byte %d, %d bytes before its end", v.size, end-v.size)
	case v.size > end:
		v.add(Added, "", end, v.size-end, "%d bytes stand behind the end of the bundle at byte %d", v.size-end, end)
	}
	return nil
}

// judge holds the seal against the manifest and the key.
func (v *verifier) judge(s Seal, start int64) {
	at := start + block
	key, err := evidence.ParseVerifierKey(s.Key)
	switch {
	case err != nil || key.String() != s.Key:
		v.add(Unsealed, sealName, at, 0, "its key is none")
		return
	case !s.signedBy(key):
		v.add(Unsealed, sealName, at, 0, "its signature is not that of %s over it", key.Name)
	case s.Format != formatName || s.Incident != v.manifest.Incident || s.Key != v.manifest.Key:
		v.add(Unsealed, sealName, at, 0, "it is the seal of another bundle")
	}
	if s.Manifest != v.digest {
		v.add(Altered, manifestName, block, 0, "the manifest has SHA-256 %s; the seal is over %s", v.digest, s.Manifest)
	}
	if s.Bytes != start {
		v.add(Unsealed, sealName, at, 0, "it covers %d bytes and stands behind %d", s.Bytes, start)
	}
	v.key = key
	v.report.Key, v.report.KeyFrom = s.Key, "bundle"
	switch given := v.options.Key; {
	case given == nil:
		v.report.Notes = append(v.report.Notes, "the key is the bundle's own: that proves that nothing changed since the bundle was sealed, not who sealed it; compare the key with one you got another way (--key)")
	case given.String() == s.Key:
		v.report.KeyFrom = "given"
	default:
		v.report.Untrusted = true
		v.report.Notes = append(v.report.Notes, "the bundle is sealed by "+s.Key+", not by the key given")
	}
}
