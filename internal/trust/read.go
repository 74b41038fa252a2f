package trust

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Read returns the host's record as the ledger has it, and what is wrong with
// that: who decides by the record has to look at the problems first, since an
// attacker who can write the database could have taken a denial out of it. An
// entry that cannot be read is an Incomplete fault.
func Read(ctx context.Context, ledger evidence.Ledger, key evidence.VerifierKey) (*State, []evidence.Problem, error) {
	stored, err := ledger.State(ctx, Log)
	if err != nil {
		return nil, nil, fmt.Errorf("read the host's record: %w", err)
	}
	entries := make([]evidence.Entry, 0, len(stored.Rows))
	for _, row := range stored.Rows {
		e, err := evidence.ParseEntry(row.Raw)
		if err != nil {
			return nil, nil, fault.New(fault.Incomplete, "read the host's record: %w", err).WithHint("%s", Hint)
		}
		entries = append(entries, e)
	}
	state, err := Fold(entries)
	return state, evidence.VerifyLog(stored, key), err
}

// Hint is the next step when the host's record is not what it should be.
const Hint = "ask what happened to it: weightwarden incident verify " + Log
