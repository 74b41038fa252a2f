package cluster

// PublishRoles writes, as manifests, what an agent may do that tells what it
// sees: write its lease in one namespace, and reports and the status of models
// in those of the workloads. It may delete nothing and read nothing else.
func PublishRoles(lease string, namespaces []string, subject Subject) (out []Object) {
	split := map[string][]Need{}
	for _, n := range Publishing() {
		name := "weightwarden-publish"
		switch n.Kind {
		case Namespaces:
			name = "weightwarden-publish-cluster"
		case Leases:
			name = "weightwarden-publish-lease"
		}
		split[name] = append(split[name], n)
	}
	add := func(name, kind string, places ...string) {
		var rules []any
		for _, r := range Rules(split[name], Publish) {
			rule := map[string]any{"apiGroups": anys([]string{r.Group}), "resources": anys(r.Resources), "verbs": anys(r.Verbs)}
			if kind == "ClusterRoleBinding" {
				rule["resourceNames"] = []any{"kube-system"} // which stands for the cluster
			}
			rules = append(rules, rule)
		}
		out = append(out, Object{"apiVersion": rbac + "/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": name}, "rules": rules})
		for _, ns := range places {
			out = append(out, subject.bind(kind, name, ns))
		}
	}
	add("weightwarden-publish-cluster", "ClusterRoleBinding", "")
	add("weightwarden-publish-lease", "RoleBinding", lease)
	add("weightwarden-publish", "RoleBinding", namespaces...)
	return out
}
