// Package verdict holds what an agent says that it has seen of a model, where,
// and when, in a form that others can rely on: canonical text, signed by the
// agent's state key. Whoever can write to the place where such statements are
// put can leave them out or put old ones there; whoever reads them asks how
// fresh they are and whether they still stand. It knows no cluster and no clock.
package verdict

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// State is what a look came to.
type State string

// The states.
const (
	// Trusted is the model of a baseline that somebody vouches for.
	Trusted State = "trusted"
	// Unverified is the model of a baseline that nobody vouches for.
	Unverified State = "unverified"
	// Tampered is another model than that of the baseline, or one that is
	// denied.
	Tampered State = "tampered"
	// Untrusted is a model whose signature is missing or does not verify, or
	// whose signer is denied.
	Untrusted State = "untrusted"
	// Unreadable is a model, or a part of one, that could not be looked at.
	Unreadable State = "unreadable"
)

// Known reports whether s is one of the states.
func (s State) Known() bool {
	switch s {
	case Trusted, Unverified, Tampered, Untrusted, Unreadable:
		return true
	}
	return false
}

// Place is where in a cluster what was looked at lies, so that it can be told
// which pods have it: in a claim, on the disk of the node, or in a volume of
// one pod.
type Place struct {
	// Claim is the claim, as namespace/name.
	Claim string `json:"claim,omitempty"`
	// Host is an absolute path on the node.
	Host string `json:"host_path,omitempty"`
	// Volume is the name of a volume of the pod that the verdict names.
	Volume string `json:"volume,omitempty"`
	// Inside is the path in it; "" is all of it.
	Inside string `json:"inside,omitempty"`
}

// Whole is the place in the one spelling in which two can be compared: a path
// of the node is taken together.
func (p Place) Whole() Place {
	if p.Host != "" {
		p.Host, p.Inside = path.Join(p.Host, p.Inside), ""
	}
	return p
}

// String names the place.
func (p Place) String() string {
	text := "claim " + p.Claim
	switch {
	case p.Host != "":
		return "host path " + artifact.Quote(path.Join(p.Host, p.Inside))
	case p.Volume != "":
		text = "volume " + p.Volume
	}
	if p.Inside != "" {
		text += ", " + p.Inside + " in it"
	}
	return artifact.Quote(text)
}

// Check says what is wrong with the place.
func (p Place) Check() error {
	given := 0
	for _, s := range []string{p.Claim, p.Host, p.Volume} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("want one of a claim, a path of the node and a volume")
	}
	if p.Inside != "" {
		if err := artifact.CheckPath(p.Inside); err != nil {
			return err
		}
	}
	if p.Host != "" && (p.Host[0] != '/' || path.Clean(p.Host) != p.Host || strings.ContainsRune(p.Host, 0)) {
		return fmt.Errorf("host path %.80q: not absolute, or not in its shortest form", p.Host)
	}
	if p.Claim != "" {
		namespace, name, ok := strings.Cut(p.Claim, "/")
		if !ok || !ObjectName(namespace) || !ObjectName(name) {
			return fmt.Errorf("claim %.80q: want namespace/name", p.Claim)
		}
	}
	if p.Volume != "" && !ObjectName(p.Volume) {
		return fmt.Errorf("volume %.80q: not a name", p.Volume)
	}
	return nil
}

// ObjectName reports whether the API of a cluster could take s as a name.
func ObjectName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// Verdict is a signed statement about a model on one node.
type Verdict struct {
	Model string `json:"model"`
	State State  `json:"state"`
	// Root is the root digest that was observed, Baseline the one that it was
	// compared with; "" where there was none.
	Root     string `json:"root_digest,omitempty"`
	Baseline string `json:"baseline_digest,omitempty"`
	// Path is where the agent looked, Place what that is of the cluster.
	Path  string `json:"path"`
	Place Place  `json:"place"`
	// Cluster is the UID that stands for the cluster, Node the node.
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	// Pod is the UID of the one pod that it is about; "" is every pod of the
	// node that has the place.
	Pod string `json:"pod_uid,omitempty"`
	// Agent is the version of the program.
	Agent string `json:"agent_version"`
	// At is when it was looked, Sequence grows with each verdict of the key.
	At       time.Time `json:"looked_at"`
	Sequence uint64    `json:"sequence"`
}

// Standing says which of an agent's verdicts still stand at a time: of each
// model the last one, unless something else was seen since.
type Standing struct {
	Cluster string    `json:"cluster"`
	Node    string    `json:"node"`
	Pod     string    `json:"pod_uid,omitempty"`
	At      time.Time `json:"at"`
	// Verdicts are sequence numbers, by model.
	Verdicts map[string]uint64 `json:"verdicts"`
}

// Sealed is a statement as it is put where others can write: its exact text and
// the signature over that.
type Sealed struct {
	Text, Signature string
}

// The contexts that keep statements apart from whatever else the key signs, and
// from each other.
const (
	asVerdict  = "cluster verdict v1"
	asStanding = "cluster standing v1"
)

// Bounds of what is read.
const (
	maxVerdict  = 16 << 10
	maxStanding = 192 << 10 // an object has room for 256 KiB of annotations
	maxText     = 512
	// MaxModels is how many models a standing may name.
	MaxModels = 1000
)

// ErrStatement is what every refusal wraps.
var ErrStatement = errors.New("not a statement to rely on")

// Seal signs a verdict. One that [Parse] would refuse is an error.
func (v Verdict) Seal(key evidence.SigningKey) (Sealed, error) {
	return seal(v, v.check(), asVerdict, maxVerdict, key)
}

// Seal signs a standing.
func (s Standing) Seal(key evidence.SigningKey) (Sealed, error) {
	return seal(s, s.check(), asStanding, maxStanding, key)
}

func seal(v any, wrong error, as string, most int, key evidence.SigningKey) (Sealed, error) {
	text, err := json.Marshal(v)
	if err == nil && len(text) > most {
		err = fmt.Errorf("%d bytes, more than %d", len(text), most)
	}
	if err = errors.Join(wrong, err); err != nil {
		return Sealed{}, err
	}
	return Sealed{string(text), base64.StdEncoding.EncodeToString(key.SignDocument(as, text))}, nil
}

// Open returns the verdict that the key signed. The signature is looked at
// before the text is.
func Open(s Sealed, key evidence.VerifierKey) (Verdict, error) {
	if err := s.signed(asVerdict, maxVerdict, key); err != nil {
		return Verdict{}, err
	}
	return Parse(s.Text)
}

// OpenStanding returns the standing that the key signed.
func OpenStanding(s Sealed, key evidence.VerifierKey) (Standing, error) {
	if err := s.signed(asStanding, maxStanding, key); err != nil {
		return Standing{}, err
	}
	return ParseStanding(s.Text)
}

// ParseStanding reads the text of a standing, as [Parse] reads that of a
// verdict.
func ParseStanding(text string) (Standing, error) {
	var v Standing
	if err := canonical(text, maxStanding, &v); err != nil {
		return Standing{}, err
	}
	return v, wrap(v.check())
}

func (s Sealed) signed(as string, most int, key evidence.VerifierKey) error {
	if len(s.Text) > most || len(s.Signature) > 128 {
		return fmt.Errorf("%d bytes: %w", len(s.Text)+len(s.Signature), ErrStatement)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
	if err != nil || !key.VerifyDocument(as, []byte(s.Text), sig) {
		return fmt.Errorf("the signature is not one of %s: %w", artifact.Quote(key.Name), ErrStatement)
	}
	return nil
}

// Parse reads the text of a verdict, and says nothing of who wrote it. What is
// accepted is the one text that its values have.
func Parse(text string) (Verdict, error) {
	var v Verdict
	if err := canonical(text, maxVerdict, &v); err != nil {
		return Verdict{}, err
	}
	return v, wrap(v.check())
}

// canonical decodes a text that is what its value is encoded as.
func canonical(text string, most int, v any) error {
	if len(text) > most {
		return fmt.Errorf("%d bytes: %w", len(text), ErrStatement)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("not UTF-8: %w", ErrStatement)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", err, ErrStatement)
	}
	again, err := json.Marshal(v)
	if err != nil || !bytes.Equal(again, []byte(text)) {
		return fmt.Errorf("not in its one form: %w", ErrStatement)
	}
	return nil
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", err, ErrStatement)
}

func (v Verdict) check() error {
	if err := artifact.CheckID(v.Model); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	if !v.State.Known() {
		return fmt.Errorf("state %.40q is none", string(v.State))
	}
	for _, digest := range []string{v.Root, v.Baseline} {
		if d, err := artifact.ParseDigest(digest); digest != "" && (err != nil || d.String() != digest) {
			return fmt.Errorf("digest %.80q is none", digest)
		}
	}
	if v.Root == "" && (v.State == Trusted || v.State == Unverified) {
		return fmt.Errorf("%s without a root digest", v.State)
	}
	if err := v.Place.Check(); err != nil {
		return err
	}
	if v.Place.Volume != "" && v.Pod == "" {
		return errors.New("the volume of no pod")
	}
	if err := checkTexts(v.Path, v.Agent); err != nil {
		return err
	}
	return checkWhere(v.Cluster, v.Node, v.Pod, v.At)
}

func (s Standing) check() error {
	if len(s.Verdicts) > MaxModels || s.Verdicts == nil {
		return fmt.Errorf("%d models", len(s.Verdicts))
	}
	for model := range s.Verdicts {
		if err := artifact.CheckID(model); err != nil {
			return fmt.Errorf("model: %w", err)
		}
	}
	return checkWhere(s.Cluster, s.Node, s.Pod, s.At)
}

func checkTexts(list ...string) error {
	for _, text := range list {
		if len(text) > 8*maxText || !utf8.ValidString(text) {
			return fmt.Errorf("a text of %d bytes, or not UTF-8", len(text))
		}
	}
	return nil
}

func checkWhere(cluster, node, pod string, at time.Time) error {
	switch {
	case cluster == "" || len(cluster) > maxText || !utf8.ValidString(cluster):
		return errors.New("no cluster")
	case !ObjectName(node):
		return fmt.Errorf("node %.80q: not a name", node)
	case len(pod) > maxText || !utf8.ValidString(pod):
		return errors.New("not a pod")
	case at.IsZero() || at.Location() != time.UTC || at.Year() < 2000 || at.Year() > 9999:
		return errors.New("no time, or not in UTC")
	}
	return nil
}

// Sight is what an agent sees of a model now, before it says so.
type Sight struct {
	Model          string
	State          State
	Root, Baseline string
	Path           string
	At             time.Time
	// Signs are the indicators that are there, by type.
	Signs []Sign
}

// Sign counts the indicators of one type.
type Sign struct {
	Type     string
	Severity finding.Severity
	// Unseen says that something could not be looked at.
	Unseen bool
	Count  int
	// Text is the description of one of them.
	Text string
}
