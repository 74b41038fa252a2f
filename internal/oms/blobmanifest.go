package oms

import (
	"bufio"
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// blobSignatureLimit bounds the file of a blob signature, in bytes.
const blobSignatureLimit = 64 << 10

// blobSigner returns the trusted key that made a cosign blob signature.
func blobSigner(data, sig []byte, keys []crypto.PublicKey) (signer, error) {
	if len(keys) == 0 {
		return signer{}, fmt.Errorf("signed with a key, and no key is trusted: %w", errUntrusted)
	}
	der, err := decodeBlobSignature(sig)
	if err != nil {
		return signer{}, err
	}
	for _, k := range keys {
		if validWith(crypto.SHA256, k, data, der) || validSignature(k, data, der) {
			s, err := keySigner(k)
			s.method = MethodManifest
			return s, err
		}
	}
	return signer{}, fmt.Errorf("the manifest's signature does not verify with a trusted key: %w", errUntrusted)
}

// decodeBlobSignature accepts base64, as cosign writes it, and raw ASN.1,
// which starts with the tag of a sequence.
func decodeBlobSignature(sig []byte) ([]byte, error) {
	if len(sig) > 0 && sig[0] == 0x30 {
		return sig, nil
	}
	der, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(sig)))
	if err != nil || len(der) == 0 {
		return nil, fmt.Errorf("the manifest's signature is neither base64 nor ASN.1: %w", ErrMalformed)
	}
	return der, nil
}

// parseBlobManifest reads a list of files in one of the forms that the package
// comment shows.
func parseBlobManifest(data []byte, lim Limits) (*claims, error) {
	m := blobManifest{lim: lim, seen: map[string]bool{}}
	var err error
	switch trimmed := bytes.TrimLeft(data, " \t\r\n"); {
	case len(trimmed) == 0:
		err = fmt.Errorf("it is empty: %w", ErrMalformed)
	case trimmed[0] == '{':
		err = m.json(data)
	case trimmed[0] == '[':
		err = fmt.Errorf("a JSON array; want an object or lines of sha256sum: %w", ErrRefused)
	default:
		err = m.lines(data)
	}
	if err == nil && len(m.out.files) == 0 {
		err = fmt.Errorf("no file is listed: %w", ErrRefused)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return &m.out, nil
}

type blobManifest struct {
	lim  Limits
	seen map[string]bool
	out  claims
}

func (m *blobManifest) add(path, digest string) error {
	if err := artifact.CheckPath(path); err != nil {
		return fmt.Errorf("listed %w: %w", err, ErrRefused)
	}
	if m.seen[path] {
		return fmt.Errorf("file %.80q is listed twice: %w", path, ErrRefused)
	}
	if len(m.out.files) == m.lim.Resources {
		return fmt.Errorf("more than %d files: %w", m.lim.Resources, ErrLimit)
	}
	d, err := parseHex(artifact.SHA256, strings.TrimPrefix(digest, "sha256:"))
	if err != nil {
		return fmt.Errorf("file %.80q: want a SHA-256 digest: %w", path, ErrRefused)
	}
	m.seen[path] = true
	m.out.files = append(m.out.files, claim{path, []shard{{0, -1, d}}})
	return nil
}

// json reads the JSON forms. Which one it is shows when everything was read:
// with a key "files" that is no string, the other keys mean nothing; without,
// every key is a path.
func (m *blobManifest) json(data []byte) error {
	r, err := newReader(data, m.lim.Depth)
	if err != nil {
		return err
	}
	files, other := false, ""
	var flat [][2]string
	err = r.object(func(key string) error {
		t, err := r.token()
		if err != nil {
			return err
		}
		digest, isString := t.(string)
		switch {
		case key == "files" && !isString:
			files = true
			return m.files(r, t)
		case isString && len(flat) <= m.lim.Resources:
			flat = append(flat, [2]string{key, digest})
		default:
			other = key
		}
		return r.skipFrom(t)
	})
	if err != nil {
		return err
	}
	switch {
	case files:
		return r.end()
	case other != "":
		return fmt.Errorf("no \"files\", and the value of %.80q is no digest: %w", other, ErrRefused)
	}
	for _, f := range flat {
		if err := m.add(f[0], f[1]); err != nil {
			return err
		}
	}
	return r.end()
}

// files reads the value of "files", whose first token is t.
func (m *blobManifest) files(r *reader, t json.Token) error {
	switch t {
	case json.Delim('{'):
		return r.fields(func(path string) error {
			digest, err := r.str()
			if err != nil {
				return err
			}
			return m.add(path, digest)
		})
	case json.Delim('['):
		return r.items(m.lim.Resources, func() error { return m.item(r) })
	default:
		return fmt.Errorf("want an object or an array: %w", ErrRefused)
	}
}

func (m *blobManifest) item(r *reader) error {
	var path, digest string
	err := r.object(func(key string) error {
		switch key {
		case "path":
			return r.into(&path)
		case "sha256":
			return r.into(&digest)
		default:
			return r.skip()
		}
	})
	if err != nil {
		return err
	}
	return m.add(path, digest)
}

// lines reads what sha256sum writes: 64 digits, a space, a space for text or
// an asterisk for binary mode, the name. A line that starts with a backslash
// has backslashes and line ends in its name escaped.
func (m *blobManifest) lines(data []byte) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("not UTF-8: %w", ErrMalformed)
	}
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, 1<<16)
	s.Split(scanLF)
	n := 0
	for s.Scan() {
		n++
		if err := m.line(s.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if s.Err() != nil {
		return fmt.Errorf("line %d is too long: %w", n+1, ErrLimit)
	}
	return nil
}

// scanLF splits at line feeds and, unlike [bufio.ScanLines], leaves carriage
// returns where they are: they may be part of a name.
func scanLF(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (m *blobManifest) line(line string) error {
	rest, escaped := strings.CutPrefix(line, `\`)
	if len(rest) < 67 || rest[64] != ' ' || rest[65] != ' ' && rest[65] != '*' {
		return fmt.Errorf("%.80q: want a SHA-256 digest, two characters and a path, as sha256sum writes them: %w", line, ErrRefused)
	}
	name := rest[66:]
	switch {
	case strings.HasSuffix(name, "\r"):
		return fmt.Errorf("%.80q: ends with a carriage return: %w", line, ErrRefused)
	case escaped:
		var ok bool
		if name, ok = unescape(name); !ok {
			return fmt.Errorf("%.80q: unknown escape: %w", line, ErrRefused)
		}
	}
	return m.add(name, rest[:64])
}

// unescape undoes what sha256sum does to names with a backslash or a line end.
func unescape(name string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '\\' {
			b.WriteByte(name[i])
			continue
		}
		i++
		if i == len(name) {
			return "", false
		}
		switch name[i] {
		case '\\':
			b.WriteByte('\\')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", false
		}
	}
	return b.String(), true
}
