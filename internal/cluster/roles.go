package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// Rules are the rules of one role, as RBAC has them: one per group of
// resources that need the same verbs.
func Rules(needs []Need, role Role) []Rule {
	verbs := map[string][]string{} // by group and resource
	for _, n := range needs {
		if n.Role == role {
			key := n.Kind.Group + "\x00" + n.resource()
			verbs[key] = append(verbs[key], n.Verbs...)
		}
	}
	byVerbs := map[string]*Rule{}
	for key, list := range verbs {
		group, resource, _ := strings.Cut(key, "\x00")
		slices.Sort(list)
		list = slices.Compact(list)
		at := group + " " + strings.Join(list, ",")
		if byVerbs[at] == nil {
			byVerbs[at] = &Rule{Group: group, Verbs: list}
		}
		byVerbs[at].Resources = append(byVerbs[at].Resources, resource)
	}
	var out []Rule
	for _, r := range byVerbs {
		slices.Sort(r.Resources)
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Rule) int {
		return strings.Compare(a.Group+strings.Join(a.Resources, ","), b.Group+strings.Join(b.Resources, ","))
	})
	return out
}

// Rule lets verbs be used on resources of one API group.
type Rule struct {
	Group     string   `json:"group"`
	Resources []string `json:"resources"`
	Verbs     []string `json:"verbs"`
}

// Roles writes the three roles as manifests: what only looks for the whole
// cluster, what contains once for each namespace, what is of the platform for
// the whole cluster again; each bound to the subject.
func Roles(needs []Need, namespaces []string, subject Subject) []Object {
	var out []Object
	for _, role := range []Role{Assess, Contain, Platform} {
		var rules []any
		for _, r := range Rules(needs, role) {
			rules = append(rules, map[string]any{"apiGroups": anys([]string{r.Group}), "resources": anys(r.Resources), "verbs": anys(r.Verbs)})
		}
		name := "weightwarden-" + string(role)
		out = append(out, Object{
			"apiVersion": rbac + "/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": name}, "rules": rules,
		})
		if role != Contain {
			out = append(out, subject.bind("ClusterRoleBinding", name, ""))
			continue
		}
		for _, ns := range namespaces {
			out = append(out, subject.bind("RoleBinding", name, ns))
		}
	}
	return append(out, subject.guard()...)
}

const rbac = "rbac.authorization.k8s.io"

// Subject is whom the roles are bound to.
type Subject struct {
	// Kind is User, Group or ServiceAccount.
	Kind, Name string
	// Namespace is that of a service account.
	Namespace string
}

func (s Subject) bind(kind, role, namespace string) Object {
	meta := map[string]any{"name": role}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	subject := map[string]any{"kind": s.Kind, "name": s.Name}
	if s.Kind == "ServiceAccount" {
		subject["namespace"] = s.Namespace
	} else {
		subject["apiGroup"] = rbac
	}
	return Object{
		"apiVersion": rbac + "/v1", "kind": kind, "metadata": meta,
		"roleRef":  map[string]any{"apiGroup": rbac, "kind": "ClusterRole", "name": role},
		"subjects": []any{subject},
	}
}

// is the condition, in CEL, that a request comes from the subject.
func (s Subject) is() string {
	switch s.Kind {
	case "Group":
		return fmt.Sprintf("%q in request.userInfo.groups", s.Name)
	case "ServiceAccount":
		return fmt.Sprintf("request.userInfo.username == %q", "system:serviceaccount:"+s.Namespace+":"+s.Name)
	}
	return fmt.Sprintf("request.userInfo.username == %q", s.Name)
}

// guard is the policy that narrows what the roles cannot: they let the subject
// create pods, which is for trials, and change pods, which is for labels.
func (s Subject) guard() []Object {
	const name = "weightwarden-responder"
	policy := Object{
		"apiVersion": AdmissionPolicies.APIVersion(), "kind": AdmissionPolicies.Name, "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"failurePolicy": "Fail",
			"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
				"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE", "UPDATE"}, "resources": []any{"pods"},
			}}},
			"matchConditions": []any{map[string]any{"name": "responder", "expression": s.is()}},
			"validations": []any{
				map[string]any{
					"expression": "request.operation != 'CREATE' || request.dryRun == true", "reason": "Forbidden",
					"message": "a responder makes pods only as a trial",
				},
				map[string]any{
					"expression": "request.operation != 'UPDATE' || object.spec == oldObject.spec", "reason": "Forbidden",
					"message": "a responder changes only labels and annotations of pods",
				},
			},
		},
	}
	binding := Object{
		"apiVersion": AdmissionBindings.APIVersion(), "kind": AdmissionBindings.Name, "metadata": map[string]any{"name": name},
		"spec": map[string]any{"policyName": name, "validationActions": []any{"Deny"}},
	}
	return []Object{policy, binding}
}

func anys(list []string) []any {
	out := make([]any, 0, len(list))
	for _, v := range list {
		out = append(out, v)
	}
	return out
}
