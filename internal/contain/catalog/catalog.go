// Package catalog is the written-out list of containment drivers. It knows
// nothing of what they do.
package catalog

import (
	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/contain/denypolicy"
	"github.com/weightwarden/weightwarden/internal/contain/detach"
	"github.com/weightwarden/weightwarden/internal/contain/directory"
	"github.com/weightwarden/weightwarden/internal/contain/quarantine"
	"github.com/weightwarden/weightwarden/internal/contain/stop"
	"github.com/weightwarden/weightwarden/internal/contain/suspend"
	"github.com/weightwarden/weightwarden/internal/contain/traffic"
)

// All returns the drivers of this host. The function quarantine returns the
// quarantine directory that is configured for a model, or ""; it may be nil.
func All(quarantine func(modelID string) string) []action.Driver {
	return []action.Driver{
		directory.New(quarantine),
	}
}

// ClusterDriver is a driver of workloads in a cluster.
type ClusterDriver interface {
	action.Driver
	// Needs says, by kind of step, what has to be allowed.
	Needs() map[string][]cluster.Need
}

// Cluster returns the drivers of one cluster, in the order in which a model is
// isolated: what would take the rest back is suspended first, then requests are
// kept away, nothing is detached before what would replace it is denied, and
// nothing ends before it was detached. A rollback goes the other way.
func Cluster(api cluster.API, scenes cluster.Scenes, versions stop.Versions) []ClusterDriver {
	above := suspend.New(api, scenes)
	drivers := []ClusterDriver{
		above,
		traffic.New(api, scenes),
		denypolicy.New(api, scenes),
		detach.New(api, scenes),
		quarantine.New(api, scenes),
		stop.New(api, scenes, versions),
	}
	where := &site{api: api, above: above.Above}
	for n, d := range drivers {
		drivers[n] = sited{d, where}
	}
	return drivers
}
