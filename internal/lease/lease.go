// Package lease says what a lease is: the right of one process to act on one
// thing for a while. Each time a thing changes hands its number grows, and
// what a former holder still writes with an older number is refused. It knows
// neither what is leased nor where leases are kept.
package lease

import (
	"context"
	"time"

	"github.com/weightwarden/weightwarden/internal/evidence"
)

// Lease is the right of Holder to act on Name.
type Lease struct {
	Name string
	// Holder names the process, for people; no two processes share one.
	Holder string
	// Fence grows by one whenever the lease is acquired.
	Fence   uint64
	Expires time.Time
	// Taken says that it was taken from a holder whose time had run out.
	Taken bool
}

// Store keeps leases. Every implementation passes storetest.Leases, which is
// the other half of this contract. Times are kept to the microsecond.
type Store interface {
	// Acquire takes the lease on name until now+ttl. It is a Conflict while
	// somebody has it and it has not expired, one of the same name included,
	// unless dead says that who has it is known not to live any more.
	Acquire(ctx context.Context, name, holder string, now time.Time, ttl time.Duration, dead bool) (Lease, error)
	// Renew extends a lease. It is a Conflict when somebody else has acquired
	// it since, or it was released.
	Renew(ctx context.Context, l Lease, now time.Time, ttl time.Duration) (Lease, error)
	// Release ends a lease. What somebody else has acquired since stays.
	Release(ctx context.Context, l Lease) error
	// Ledger returns the ledger under leases: an append is a Conflict when
	// one of them was acquired by somebody else since, in one transaction
	// with the check.
	Ledger(leases ...Lease) evidence.Ledger
}
