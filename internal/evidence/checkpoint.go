package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Checkpoint says that a log had this many entries with this root hash. Its
// text is a C2SP tlog-checkpoint, its signed form a C2SP signed-note, so that
// witnesses and tools that know those can be used.
type Checkpoint struct {
	// Origin names the log for all the world: "weightwarden/<key>/<log>".
	Origin string
	Size   uint64
	Root   artifact.Digest
}

// ErrCheckpoint is what every refusal of a checkpoint wraps.
var ErrCheckpoint = errors.New("not a checkpoint to rely on")

// maxNote bounds what is read as a checkpoint, in bytes.
const maxNote = 64 << 10

// ed25519Note is the signature type of Ed25519 in C2SP signed-note.
const ed25519Note = 1

// Text returns the three lines that are signed.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(c.Root.Bytes()) + "\n"
}

// ParseCheckpoint reads the text of a checkpoint. Extension lines are allowed
// by the specification and ignored.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" || lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("fewer than three lines: %w", ErrCheckpoint)
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("size %.40q: %w", lines[1], ErrCheckpoint)
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("root %.60q: %w", lines[2], ErrCheckpoint)
	}
	root, err := artifact.NewDigest(artifact.SHA256, sum)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("root of %d bytes: %w", len(sum), ErrCheckpoint)
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// VerifierKey is the public half of a state key, under the name that stands
// in signatures.
type VerifierKey struct {
	Name string
	Key  ed25519.PublicKey
}

// id returns the key id of C2SP signed-note: the first four bytes of
// SHA-256(name, newline, type, key).
func (k VerifierKey) id() uint32 {
	sum := sha256.Sum256(append([]byte(k.Name+"\n\x01"), k.Key...))
	return binary.BigEndian.Uint32(sum[:4])
}

// String returns the key in the vkey form of C2SP signed-note.
func (k VerifierKey) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.id(),
		base64.StdEncoding.EncodeToString(append([]byte{ed25519Note}, k.Key...)))
}

// ParseVerifierKey reads what [VerifierKey.String] writes.
func ParseVerifierKey(s string) (VerifierKey, error) {
	parts := strings.SplitN(strings.TrimSpace(s), "+", 3)
	if len(parts) != 3 || !keyName(parts[0]) {
		return VerifierKey{}, fmt.Errorf("verifier key %.80q: not of the form name+id+key", s)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != ed25519Note {
		return VerifierKey{}, fmt.Errorf("verifier key %.80q: not an Ed25519 key", s)
	}
	k := VerifierKey{Name: parts[0], Key: ed25519.PublicKey(raw[1:])}
	if parts[1] != fmt.Sprintf("%08x", k.id()) {
		return VerifierKey{}, fmt.Errorf("verifier key %.80q: its id is not that of the key", s)
	}
	return k, nil
}

func keyName(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t\r\n+") && artifact.CheckID(strings.ReplaceAll(s, "/", ".")) == nil
}

// SigningKey signs checkpoints and documents of one state directory.
type SigningKey struct {
	Name string
	Key  ed25519.PrivateKey
}

// Public returns the verifier key.
func (k SigningKey) Public() VerifierKey {
	return VerifierKey{Name: k.Name, Key: k.Key.Public().(ed25519.PublicKey)}
}

// Origin returns the name for all the world of a log of this state directory.
func (k VerifierKey) Origin(log string) string { return k.Name + "/" + log }

// SignCheckpoint returns c as a signed note.
func (k SigningKey) SignCheckpoint(c Checkpoint) string {
	text := c.Text()
	sig := binary.BigEndian.AppendUint32(nil, k.Public().id())
	sig = append(sig, ed25519.Sign(k.Key, []byte(text))...)
	return text + "\n— " + k.Name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

// OpenCheckpoint verifies a signed note and returns its checkpoint. It fails
// unless one signature is by k and every signature by k is right.
func OpenCheckpoint(note string, k VerifierKey) (Checkpoint, error) {
	if len(note) > maxNote {
		return Checkpoint{}, fmt.Errorf("note of %d bytes: %w", len(note), ErrCheckpoint)
	}
	at := strings.LastIndex(note, "\n\n")
	if at < 0 || !strings.HasSuffix(note, "\n") {
		return Checkpoint{}, fmt.Errorf("no signature: %w", ErrCheckpoint)
	}
	text, signed := note[:at+1], false
	for line := range strings.SplitSeq(strings.TrimSuffix(note[at+2:], "\n"), "\n") {
		name, sig, err := parseSignature(line)
		if err != nil {
			return Checkpoint{}, err
		}
		if name != k.Name || binary.BigEndian.Uint32(sig) != k.id() {
			continue // somebody else's, a witness's for example
		}
		if !ed25519.Verify(k.Key, []byte(text), sig[4:]) {
			return Checkpoint{}, fmt.Errorf("signature of %s is wrong: %w", k.Name, ErrCheckpoint)
		}
		signed = true
	}
	if !signed {
		return Checkpoint{}, fmt.Errorf("not signed by %s: %w", k.Name, ErrCheckpoint)
	}
	return ParseCheckpoint(text)
}

// readNote reads a note that is proven in another way than by its signature,
// whose form it checks: one signature, by k, and nothing else.
func readNote(note string, k VerifierKey) (Checkpoint, error) {
	text, signed, ok := strings.Cut(note, "\n\n")
	if !ok || len(note) > maxNote || !strings.HasSuffix(signed, "\n") {
		return Checkpoint{}, fmt.Errorf("no signature: %w", ErrCheckpoint)
	}
	name, sig, err := parseSignature(strings.TrimSuffix(signed, "\n"))
	switch {
	case err != nil:
		return Checkpoint{}, err
	case name != k.Name || binary.BigEndian.Uint32(sig) != k.id() || len(sig) != 4+ed25519.SignatureSize:
		return Checkpoint{}, fmt.Errorf("not signed by %s: %w", k.Name, ErrCheckpoint)
	}
	return ParseCheckpoint(text + "\n")
}

func parseSignature(line string) (name string, sig []byte, err error) {
	rest, ok := strings.CutPrefix(line, "— ")
	name, encoded, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || name == "" {
		return "", nil, fmt.Errorf("signature line %.80q: %w", line, ErrCheckpoint)
	}
	sig, err = base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(sig) < 5 {
		return "", nil, fmt.Errorf("signature line %.80q: %w", line, ErrCheckpoint)
	}
	return name, sig, nil
}

// documentContext keeps signatures over documents apart from those over
// checkpoints: no checkpoint starts with it.
const documentContext = "weightwarden document v1\n"

// SignDocument signs data under a context, so that a signature for one
// purpose is none for another.
func (k SigningKey) SignDocument(context string, data []byte) []byte {
	return ed25519.Sign(k.Key, documentMessage(context, data))
}

// VerifyDocument reports whether sig is k's signature over data in context.
func (k VerifierKey) VerifyDocument(context string, data, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.Key, documentMessage(context, data), sig)
}

func documentMessage(context string, data []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%d %s\n%d\n", documentContext, len(context), context, len(data))
	b.Write(data)
	return b.Bytes()
}
