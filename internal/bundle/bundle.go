// Package bundle writes the record and the evidence of one incident into one
// file, and verifies such a file with nothing but itself: no database, no
// state directory, no network.
//
// A bundle is a tar file with exactly one form. Its first member is the
// manifest, which lists every other member with size and SHA-256; its last is
// the seal, an Ed25519 signature over the manifest. Headers, padding and the
// end of the archive follow from the manifest, so that every byte of the file
// is accounted for, and a byte that differs is named with its place.
//
// The package knows no incident's meaning beyond which entries seal evidence;
// what an entry says is for others to judge.
package bundle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// The members of a bundle. Those between manifest and seal are in the order
// of their names.
const (
	manifestName    = "manifest.jsonl"
	evidenceDir     = "evidence/"
	hostNotesName   = "host/checkpoints.jsonl"
	hostEntriesName = "host/entries.jsonl"
	notesName       = "incident/checkpoints.jsonl"
	entriesName     = "incident/entries.jsonl"
	keyName         = "state.pub"
	sealName        = "seal.json"
)

// formatName is the first thing that a manifest says.
const formatName = "weightwarden bundle v1"

// sealContext keeps the signature of a bundle apart from all others.
const sealContext = "bundle seal"

// What is accepted at most. Beyond, a bundle is refused, not cut.
const (
	maxMembers  = 1 << 17
	maxManifest = 32 << 20 // bytes
	maxLine     = 16 << 20 // bytes of one entry of a log
	maxSeal     = 64 << 10 // bytes
	maxKey      = 4 << 10  // bytes
)

// Manifest is the first line of the member of that name; the members follow,
// one per line.
type Manifest struct {
	Format     string    `json:"format"`
	Incident   string    `json:"incident_id"`
	ExportedAt time.Time `json:"exported_at"`
	ExportedBy string    `json:"exported_by"`
	// Clock is what was known of the clock then.
	Clock string `json:"clock,omitempty"`
	// Key is the verifier key of the state directory that exported.
	Key string `json:"key"`
	// HostLog is the name of the host's log, which is in the bundle whole: a
	// part of it could not be verified against its checkpoints.
	HostLog string `json:"host_log"`
	// Altered says what of record and evidence was found altered when the
	// bundle was made. It was exported as found, because that is evidence too.
	Altered []string `json:"altered_before_export"`
}

// Member is one file of a bundle.
type Member struct {
	Name   string          `json:"name"`
	Size   int64           `json:"size"`
	SHA256 artifact.Digest `json:"sha256"`
}

// Seal is the last member.
type Seal struct {
	Format   string          `json:"format"`
	Incident string          `json:"incident_id"`
	Manifest artifact.Digest `json:"manifest_sha256"`
	// Bytes is where the seal begins: the size of everything that it covers.
	Bytes    int64     `json:"bytes_before_seal"`
	SealedAt time.Time `json:"sealed_at"`
	Key      string    `json:"key"`
	// Signature is over the seal without it, in hex.
	Signature string `json:"signature,omitempty"`
}

// line returns the stored form of one value: compact JSON and a newline.
func line(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return append(data, '\n'), nil
}

// parseLine reads what [line] writes, and nothing else.
func parseLine[T any](data []byte) (v T, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, err
	}
	again, err := line(v)
	if err != nil {
		return v, err
	}
	if !bytes.Equal(again, data) {
		at, _ := firstDifference(again, data)
		return v, fmt.Errorf("byte %d is not in the form in which bundles are written", at)
	}
	return v, nil
}

// encodeManifest returns the content of the first member.
func encodeManifest(m Manifest, members []Member) ([]byte, error) {
	data, err := line(m)
	if err != nil {
		return nil, err
	}
	for _, member := range members {
		l, err := line(member)
		if err != nil {
			return nil, err
		}
		data = append(data, l...)
	}
	return data, nil
}

// parseManifest reads what encodeManifest writes, and nothing else. An error
// names the place by its offset in data.
func parseManifest(data []byte) (m Manifest, members []Member, at int, err error) {
	rest := data
	for n := 0; len(rest) > 0; n++ {
		at = len(data) - len(rest)
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			return m, nil, at, fmt.Errorf("line %d has no end", n+1)
		}
		if n == 0 {
			m, err = parseLine[Manifest](rest[:end])
			if err == nil && m.Format != formatName {
				err = fmt.Errorf("format %.60q, not %s", m.Format, formatName)
			}
		} else {
			members, err = appendMember(members, rest[:end])
		}
		if err != nil {
			return m, nil, at, fmt.Errorf("line %d: %w", n+1, err)
		}
		rest = rest[end:]
	}
	if m.Format == "" {
		return m, nil, 0, fmt.Errorf("it is empty")
	}
	return m, members, 0, nil
}

// appendMember reads one line. Names stand in ascending order, so that none
// can stand there twice.
func appendMember(members []Member, data []byte) ([]Member, error) {
	member, err := parseLine[Member](data)
	switch {
	case err != nil:
		return nil, err
	case len(members) >= maxMembers:
		return nil, fmt.Errorf("more than %d members", maxMembers)
	case checkName(member.Name) != nil || member.Name == manifestName || member.Name == sealName:
		return nil, fmt.Errorf("%.120q is no member to list", member.Name)
	case member.Size < 0 || member.Size >= 1<<50 || member.SHA256.Algorithm() != artifact.SHA256:
		return nil, fmt.Errorf("member %s: impossible size or digest", member.Name)
	case len(members) > 0 && members[len(members)-1].Name >= member.Name:
		return nil, fmt.Errorf("member %s is not in the order of names", member.Name)
	}
	return append(members, member), nil
}

// sign completes a seal.
func (s Seal) sign(key evidence.SigningKey) ([]byte, error) {
	s.Signature = ""
	payload, err := line(s)
	if err != nil {
		return nil, err
	}
	s.Signature = hex.EncodeToString(key.SignDocument(sealContext, payload))
	return line(s)
}

// signedBy reports whether the seal is k's.
func (s Seal) signedBy(k evidence.VerifierKey) bool {
	signature, err := hex.DecodeString(s.Signature)
	if err != nil || hex.EncodeToString(signature) != s.Signature {
		return false
	}
	s.Signature = ""
	payload, err := line(s)
	return err == nil && k.VerifyDocument(sealContext, payload, signature)
}
