package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// Role is one of the three roles that containment is divided into.
type Role string

// The roles.
const (
	// Assess only looks.
	Assess Role = "assess"
	// Contain changes what serves models, in the namespaces it is bound in.
	Contain Role = "contain"
	// Platform changes what is of the whole cluster or of other teams:
	// admission policies, GitOps.
	Platform Role = "platform"
	// Publish makes known what an agent sees. It is no role of a responder.
	Publish Role = "publish"
)

// Need is what somebody has to be allowed to do.
type Need struct {
	Role  Role
	Kind  Kind
	Sub   string
	Verbs []string
}

func (n Need) resource() string {
	if n.Sub == "" {
		return n.Kind.Resource
	}
	return n.Kind.Resource + "/" + n.Sub
}

// Looking is what finding and observing needs.
func Looking() []Need {
	needs := []Need{
		{Assess, Namespaces, "", []string{"get"}},
		{Assess, Pods, "log", []string{"get"}},
	}
	for _, k := range []Kind{
		Pods, Services, Events, Deployments, ReplicaSets, StatefulSets, DaemonSets, EndpointSlices, NetworkPolicies,
		Autoscalers, ScaledObjects, Rollouts, InferenceServices, HTTPRoutes, Reports, Leases,
	} {
		needs = append(needs, Need{Assess, k, "", []string{"get", "list"}})
	}
	return append(needs,
		Need{Assess, Deployments, "scale", []string{"get"}}, Need{Assess, StatefulSets, "scale", []string{"get"}},
		Need{Assess, ReplicaSets, "scale", []string{"get"}}, Need{Assess, Rollouts, "scale", []string{"get"}})
}

// Publishing is what an agent needs to make known what it sees, and nothing
// else: in the namespaces of the models, but for the lease, which is in its
// own, and the namespace that stands for the cluster.
func Publishing() []Need {
	return []Need{
		{Publish, Namespaces, "", []string{"get"}},
		{Publish, Leases, "", []string{"get", "create", "patch"}},
		{Publish, Reports, "", []string{"get", "create", "patch"}},
		{Publish, ProtectedModels, "", []string{"get", "create"}},
		{Publish, EventRecords, "", []string{"get", "create"}}, // for a receiver of type kubernetes
		{Publish, ProtectedModels, "status", []string{"get", "patch"}},
	}
}

// question is one thing that somebody may have to be allowed to do.
type question struct {
	role            Role
	kind            Kind
	sub             string
	verb, namespace string
}

func (q question) String() string {
	resource := q.kind.Resource
	if q.sub != "" {
		resource += "/" + q.sub
	}
	text := q.verb + " " + strings.TrimSuffix(resource+"."+q.kind.Group, ".")
	if q.namespace != "" {
		text += fmt.Sprintf(" in namespace %q", q.namespace)
	}
	return fmt.Sprintf("%s (role %s)", text, q.role)
}

// Questions collects what has to be allowed, each only once.
type Questions map[question]bool

// Add takes in the needs in the namespaces.
func (q Questions) Add(needs []Need, namespaces []string) {
	for _, n := range needs {
		places := namespaces
		if n.Kind.ClusterScoped() || len(places) == 0 {
			places = []string{""}
		}
		for _, ns := range places {
			for _, verb := range n.Verbs {
				q[question{n.Role, n.Kind, n.Sub, verb, ns}] = true
			}
		}
	}
}

// askedAtOnce is how many questions are put at the same time: whoever waits for
// the answers has a model in production that is tampered with.
const askedAtOnce = 8

// Missing asks the API which of it is not allowed, and returns that in words.
func (q Questions) Missing(ctx context.Context, api API) ([]string, error) {
	var (
		mu      sync.Mutex
		missing []string
		errs    []error
		all     sync.WaitGroup
	)
	slots := make(chan struct{}, askedAtOnce)
	for one := range q {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			ok, err := allowed(ctx, api, one)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, err)
			case !ok:
				missing = append(missing, one.String())
			}
		})
	}
	all.Wait()
	slices.Sort(missing)
	return slices.Compact(missing), errors.Join(errs...)
}

func allowed(ctx context.Context, api API, q question) (bool, error) {
	attributes := map[string]any{"verb": q.verb, "group": q.kind.Group, "version": q.kind.Version, "resource": q.kind.Resource}
	if q.sub != "" {
		attributes["subresource"] = q.sub
	}
	if q.namespace != "" {
		attributes["namespace"] = q.namespace
	}
	answer, err := api.Create(ctx, SelfAccessReviews, Object{"spec": map[string]any{"resourceAttributes": attributes}}, false)
	if fault.KindOf(err) == fault.NotFound {
		return true, nil // an API without reviews: the calls themselves will say
	}
	if err != nil {
		return false, fmt.Errorf("ask what is allowed: %w", err)
	}
	return answer.Flag("/status/allowed"), nil
}
