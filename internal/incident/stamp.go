package incident

import (
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

// KindStamped is the entry that keeps a time stamp.
const KindStamped = "checkpoint_stamped" // Stamped

// Stamped keeps what a time stamping authority (RFC 3161) has said about a
// checkpoint of the incident's log: that everything before it existed then.
// What it says is proven by Response alone; the rest repeats it for readers.
type Stamped struct {
	// Checkpoint is the signed note that was stamped, byte for byte, SHA256
	// its digest.
	Checkpoint string          `json:"checkpoint"`
	SHA256     artifact.Digest `json:"sha256"`
	// Response is the authority's answer, in DER.
	Response []byte `json:"response"`
	// Authority is the address that was asked.
	Authority string    `json:"authority"`
	StampedAt time.Time `json:"stamped_at"`
	Signer    string    `json:"signer"`
}

// StampedAt is a time stamp with when and by whom it was asked for.
type StampedAt struct {
	Stamped
	At time.Time `json:"at"`
	By string    `json:"by"`
}

func foldStamped(i *Incident, e evidence.Entry, b Stamped) {
	i.Stamps = append(i.Stamps, StampedAt{b, e.Time, e.Actor})
}
