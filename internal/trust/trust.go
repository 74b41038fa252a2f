// Package trust is what one host knows of trust: which baseline holds for a
// model and who vouches for it, what is on the deny-list, and which versions
// were seen signed, approved or verified, and when. Like an incident it is a
// fold over a log, so that nothing of it changes without a trace. It does no
// I/O and has no clock.
package trust

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Log is the name of the host's log in the ledger.
const Log = "host"

// The kinds of entry in the host's log. Each has one body type.
const (
	KindBaseline = "baseline_set"    // BaselineSet
	KindDenied   = "denied"          // Denial
	KindAllowed  = "denial_lifted"   // Lifted
	KindVouched  = "version_vouched" // Vouch
)

// Voucher says what makes a baseline or a version trustworthy.
type Voucher string

// The vouchers. FirstUse vouches for nothing.
const (
	BySignature Voucher = "signature"
	ByPerson    Voucher = "person"
	FirstUse    Voucher = "first_use"
)

// BaselineSet makes a stored document the baseline of a model.
type BaselineSet struct {
	Model string `json:"model"`
	Path  string `json:"path"`
	// Document is the digest of the stored baseline document.
	Document artifact.Digest `json:"document"`
	Root     artifact.Digest `json:"root_digest"`
	Voucher  Voucher         `json:"voucher"`
	// Who is the signer or the person; empty for first use.
	Who string `json:"who,omitempty"`
	// Key is the hint of the signer's key, Signed the root digest that the
	// signature is over. Root differs from it by the signature's own file.
	Key    string          `json:"key_hint,omitempty"`
	Signed artifact.Digest `json:"signed_root_digest,omitzero"`
	Reason string          `json:"reason,omitempty"`
}

// Trusted reports whether somebody vouches for the baseline.
func (b BaselineSet) Trusted() bool { return b.Voucher == BySignature || b.Voucher == ByPerson }

// Subject says what a denial is about.
type Subject string

// The subjects of the deny-list.
const (
	Root Subject = "root_digest"
	File Subject = "file_digest"
	Key  Subject = "key"
	// Identity is a signer or a person: the subject of a certificate, a
	// keyless identity, who approved a baseline.
	Identity Subject = "identity"
)

// Denial puts something on the deny-list.
type Denial struct {
	Subject Subject `json:"subject"`
	// Value is a digest in hex, a key's hint, or a name.
	Value    string `json:"value"`
	Reason   string `json:"reason,omitempty"`
	Incident string `json:"incident_id,omitempty"`
}

// Lifted takes something off the deny-list.
type Lifted struct {
	Subject Subject `json:"subject"`
	Value   string  `json:"value"`
	Reason  string  `json:"reason,omitempty"`
}

// Vouching is how a version came to be vouched for.
type Vouching string

// The ways to be vouched for, strongest first.
const (
	Signed   Vouching = "signed"
	Approved Vouching = "approved"
	Verified Vouching = "verified"
)

// Vouch records that a version was signed, approved or verified here.
type Vouch struct {
	Root artifact.Digest `json:"root_digest"`
	How  Vouching        `json:"how"`
	// Who is the signer's key hint or identity, or the person.
	Who string `json:"who"`
}

// At is a body with its entry's time and actor.
type At[T any] struct {
	Body T         `json:"entry"`
	Time time.Time `json:"time"`
	By   string    `json:"by"`
}

// State is the fold over the host's log.
type State struct {
	// Baselines holds the history of each model's baseline, oldest first.
	Baselines map[string][]At[BaselineSet]
	denied    map[denialKey]At[Denial]
	vouches   map[artifact.Digest][]At[Vouch]
}

type denialKey struct {
	subject Subject
	value   string
}

// Fold makes the state that entries tell. An entry that cannot be read is an
// Incomplete fault; one with an unknown kind, subject, voucher or way to vouch,
// from a newer program, as well: an unknown kind of denial must not be
// overlooked.
func Fold(entries []evidence.Entry) (*State, error) {
	s := &State{
		Baselines: map[string][]At[BaselineSet]{},
		denied:    map[denialKey]At[Denial]{},
		vouches:   map[artifact.Digest][]At[Vouch]{},
	}
	for _, e := range entries {
		if err := s.apply(e); err != nil {
			return nil, fault.New(fault.Incomplete, "read the host's record: %w", err).
				WithHint("ask what happened to it: weightwarden incident verify %s", Log)
		}
	}
	return s, nil
}

func (s *State) apply(e evidence.Entry) error {
	switch e.Kind {
	case KindBaseline:
		return decode(e, s.baseline)
	case KindDenied:
		return decode(e, s.deny)
	case KindAllowed:
		return decode(e, s.lift)
	case KindVouched:
		return decode(e, s.vouch)
	default:
		return fmt.Errorf("entry %d is of the unknown kind %.40q, written by a newer program", e.Seq, e.Kind)
	}
}

func decode[T any](e evidence.Entry, then func(At[T]) error) error {
	at := At[T]{Time: e.Time, By: e.Actor}
	if err := e.Decode(&at.Body); err != nil {
		return err
	}
	if err := then(at); err != nil {
		return fmt.Errorf("entry %d: %w", e.Seq, err)
	}
	return nil
}

func (s *State) baseline(b At[BaselineSet]) error {
	if !slices.Contains([]Voucher{BySignature, ByPerson, FirstUse}, b.Body.Voucher) {
		return fmt.Errorf("the unknown voucher %.40q", b.Body.Voucher)
	}
	s.Baselines[b.Body.Model] = append(s.Baselines[b.Body.Model], b)
	return nil
}

func (s *State) deny(d At[Denial]) error {
	s.denied[denialKey{d.Body.Subject, d.Body.Value}] = d
	return d.Body.Subject.check(d.Body.Value)
}

func (s *State) lift(l At[Lifted]) error {
	delete(s.denied, denialKey{l.Body.Subject, l.Body.Value})
	return l.Body.Subject.check(l.Body.Value)
}

// check refuses what this program cannot look for. A denial without a value
// would be met by everything whose digest is not known.
func (s Subject) check(value string) error {
	if !slices.Contains([]Subject{Root, File, Key, Identity}, s) {
		return fmt.Errorf("the deny-list has the unknown subject %.40q", s)
	}
	if value == "" {
		return fmt.Errorf("the deny-list has a %s without a value", s)
	}
	return nil
}

func (s *State) vouch(v At[Vouch]) error {
	if rank(v.Body.How) < 0 {
		return fmt.Errorf("vouched for in the unknown way %.40q", v.Body.How)
	}
	s.vouches[v.Body.Root] = append(s.vouches[v.Body.Root], v)
	return nil
}

// Baseline returns the baseline that holds for the model.
func (s *State) Baseline(model string) (At[BaselineSet], bool) {
	history := s.Baselines[model]
	if len(history) == 0 {
		return At[BaselineSet]{}, false
	}
	return history[len(history)-1], true
}

// Denied returns the denial of a value, if there is one.
func (s *State) Denied(subject Subject, value string) (At[Denial], bool) {
	d, ok := s.denied[denialKey{subject, value}]
	return d, ok
}

// DeniesFiles reports whether any file is denied by its digest.
func (s *State) DeniesFiles() bool {
	for key := range s.denied {
		if key.subject == File {
			return true
		}
	}
	return false
}

// DeniedAmong returns the denial of the root digest or of any file, if there
// is one.
func (s *State) DeniedAmong(root artifact.Digest, files []artifact.File) (At[Denial], bool) {
	if d, ok := s.Denied(Root, root.String()); ok && !root.IsZero() {
		return d, true
	}
	if !s.DeniesFiles() {
		return At[Denial]{}, false
	}
	for _, f := range files {
		if d, ok := s.Denied(File, f.Digest.String()); ok && !f.Digest.IsZero() {
			return d, true
		}
	}
	return At[Denial]{}, false
}

// Denials returns the deny-list, oldest first.
func (s *State) Denials() []At[Denial] {
	return slices.SortedFunc(maps.Values(s.denied), func(a, b At[Denial]) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Body.Subject, b.Body.Subject), cmp.Compare(a.Body.Value, b.Body.Value))
	})
}

// VouchedFor returns since when a version is vouched for by this host's own
// record, looking only at what was recorded before the moment: the first
// signing, else the first approval, else the last verification. A version
// without a root digest is none.
func (s *State) VouchedFor(root artifact.Digest, before time.Time) (At[Vouch], bool) {
	var best At[Vouch]
	found := false
	for _, v := range s.vouches[root] {
		if !root.IsZero() && v.Time.Before(before) && (!found || stronger(v, best)) {
			best, found = v, true
		}
	}
	return best, found
}

// SignedSince returns the first signing of a version in this host's record,
// whenever it was.
func (s *State) SignedSince(root artifact.Digest) (At[Vouch], bool) {
	var first At[Vouch]
	found := false
	for _, v := range s.vouches[root] {
		if v.Body.How == Signed && !root.IsZero() && (!found || stronger(v, first)) {
			first, found = v, true
		}
	}
	return first, found
}

// stronger goes by the way of vouching; of two signings or approvals the first
// says since when, of two verifications the last.
func stronger(a, b At[Vouch]) bool {
	if a.Body.How != b.Body.How {
		return rank(a.Body.How) < rank(b.Body.How)
	}
	if a.Body.How == Verified {
		return a.Time.After(b.Time)
	}
	return a.Time.Before(b.Time)
}

// rank is -1 for a way that is not known.
func rank(v Vouching) int { return slices.Index([]Vouching{Signed, Approved, Verified}, v) }
