package trust

import (
	"context"
	"fmt"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Read returns the host's record as the ledger has it, and what is wrong with
// that: who decides by the record has to look at the problems first, since an
// attacker who can write the database could have taken a denial out of it.
// With problems the state is what can still be understood. Without, an entry
// that is not understood is an Incomplete fault.
func Read(ctx context.Context, ledger evidence.Ledger, key evidence.VerifierKey) (*State, []evidence.Problem, error) {
	stored, err := ledger.State(ctx, Log)
	if err != nil {
		return nil, nil, fmt.Errorf("read the host's record: %w", err)
	}
	problems := evidence.VerifyLog(stored, key)
	entries := make([]evidence.Entry, 0, len(stored.Rows))
	for _, row := range stored.Rows {
		e, err := evidence.ParseEntry(row.Raw)
		if err == nil {
			entries = append(entries, e)
		} else if len(problems) == 0 {
			return nil, nil, fault.New(fault.Incomplete, "read the host's record: %w", err).WithHint("%s", Hint)
		}
	}
	state, err := Fold(entries)
	if err != nil && len(problems) > 0 {
		state, err = Fold(nil)
	}
	return state, problems, err
}

// Hint is the next step when the host's record is not what it should be.
const Hint = "ask what happened to it: weightwarden incident verify " + Log
