package evidence

import (
	"context"
	"errors"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// ErrAltered is what an error wraps when something that was stored is not what
// was signed: a document, or the end of a log.
var ErrAltered = errors.New("altered since it was signed")

// Item is one sealed piece of evidence: bytes in the vault, named by their
// digest, with where they came from and when.
type Item struct {
	// Type is what it is: "manifest", "model_file", "signature",
	// "packages", "processes", "sockets", …
	Type string `json:"type"`
	// Name tells items of one type apart; for files the path in the model.
	Name string `json:"name"`
	// Origin is where it came from: a path, or a source such as "/proc".
	Origin string          `json:"origin"`
	SHA256 artifact.Digest `json:"sha256"`
	Size   int64           `json:"size"`
	// CollectedAt is when it was read.
	CollectedAt time.Time `json:"collected_at"`
	// Missing lists what the item should hold and does not, with reasons.
	// An item with an empty list is complete.
	Missing []string `json:"missing,omitempty"`
	// Notes say what was noticed while it was captured.
	Notes []string `json:"notes,omitempty"`
}

// Gap is evidence that could not be captured.
type Gap struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Origin string `json:"origin"`
	Reason string `json:"reason"`
}

// Head is the end of a log.
type Head struct {
	Size uint64
	// Hash is that of the last entry; zero for an empty log.
	Hash artifact.Digest
}

// Any as the expected size appends wherever the log ends.
const Any = ^uint64(0)

// Ledger stores logs. Every implementation passes storetest.Ledger, which is
// the other half of this contract. Errors carry a kind of package fault.
type Ledger interface {
	// Append seals drafts behind the end of log and signs a checkpoint over
	// them, all in one synced transaction. A log begins with its first
	// entry. With an expected size other than Any it is a Conflict when the
	// log has another size.
	Append(ctx context.Context, log string, expected uint64, drafts ...Draft) ([]Entry, error)
	// Entries returns the entries of log from seq on. A log that does not
	// exist is empty. A row that is no entry is an Incomplete fault; so is a
	// log that is not what was last signed, which wraps [ErrAltered].
	Entries(ctx context.Context, log string, from uint64) ([]Entry, error)
	// Logs returns the names of the logs that start with prefix, sorted.
	Logs(ctx context.Context, prefix string) ([]string, error)
	// State returns the log as stored, for [VerifyLog].
	State(ctx context.Context, log string) (LogState, error)
	// Checkpoint returns the newest signed note, or a NotFound fault.
	Checkpoint(ctx context.Context, log string) (string, error)
}
