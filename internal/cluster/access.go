package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
		Autoscalers, ScaledObjects, Rollouts, InferenceServices,
	} {
		needs = append(needs, Need{Assess, k, "", []string{"get", "list"}})
	}
	return append(needs,
		Need{Assess, Deployments, "scale", []string{"get"}}, Need{Assess, StatefulSets, "scale", []string{"get"}},
		Need{Assess, ReplicaSets, "scale", []string{"get"}}, Need{Assess, Rollouts, "scale", []string{"get"}})
}

// Missing asks the API which of the needs are not met in the namespaces, and
// returns them in words.
func Missing(ctx context.Context, api API, needs []Need, namespaces []string) ([]string, error) {
	var missing []string
	for _, n := range needs {
		places := namespaces
		if n.Kind.ClusterScoped() || len(places) == 0 {
			places = []string{""}
		}
		for _, ns := range places {
			for _, verb := range n.Verbs {
				ok, err := allowed(ctx, api, n, verb, ns)
				if err != nil {
					return nil, err
				}
				if text := verb + " " + strings.TrimSuffix(n.resource()+"."+n.Kind.Group, "."); !ok {
					if ns != "" {
						text += fmt.Sprintf(" in namespace %q", ns)
					}
					missing = append(missing, fmt.Sprintf("%s (role %s)", text, n.Role))
				}
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing), nil
}

func allowed(ctx context.Context, api API, n Need, verb, namespace string) (bool, error) {
	attributes := map[string]any{"verb": verb, "group": n.Kind.Group, "version": n.Kind.Version, "resource": n.Kind.Resource}
	if n.Sub != "" {
		attributes["subresource"] = n.Sub
	}
	if namespace != "" {
		attributes["namespace"] = namespace
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
