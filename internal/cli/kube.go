package cli

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/contain/catalog"
)

func newKube(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "kube", Short: "What the response needs in a Kubernetes cluster",
		Long: `Models that are served by a cluster's workloads are named under workloads: in the
configuration; incident assess, isolate, rollback, undo and resume then act in
the cluster that --kubeconfig and --context name. See docs/kubernetes.md.`,
	}
	cmd.AddCommand(newKubeRBAC(g), newKubeCensus(g), newKubeCRDs(g))
	return cmd
}

type rbacOptions struct {
	namespaces           []string
	user, group, account string
	// agent prints the roles of the watchers, whose lease is in a namespace.
	agent bool
	lease string
}

func newKubeRBAC(g *globals) *cobra.Command {
	var o rbacOptions
	cmd := &cobra.Command{
		Use: "rbac", Short: "Print the roles that responding in a cluster needs", Args: cobra.NoArgs,
		Long: `Prints manifests, one JSON list that kubectl applies: the roles
weightwarden-assess (looks, in the whole cluster), weightwarden-contain (changes
what serves models, in the namespaces that are named) and weightwarden-platform
(admission policies and GitOps), each as small as what the program does, and
bound to one user, group or service account. None can delete pods, read secrets
or run commands in containers. An admission policy narrows what roles cannot:
the responder may create pods only as a dry run, and change only their labels
and annotations.

With --agent it prints instead what "watch" needs to tell what it sees (cluster:
in the configuration): to write its lease in --lease-namespace, and reports and
the status of models in the namespaces that are named. It deletes nothing.`,
		Example: "  weightwarden kube rbac --user responder --namespace serving | kubectl apply -f -\n" +
			"  weightwarden kube rbac --service-account security/weightwarden --namespace serving --namespace batch\n" +
			"  weightwarden kube rbac --agent --service-account weightwarden/weightwarden --namespace serving",
		RunE: func(*cobra.Command, []string) error { return runKubeRBAC(g, o) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.namespaces, "namespace", "n", nil, "`namespace` in which models may be contained (repeatable)")
	f.StringVar(&o.user, "user", "", "`name` of the user to bind the roles to")
	f.StringVar(&o.group, "group", "", "`name` of the group to bind them to")
	f.StringVar(&o.account, "service-account", "", "`namespace/name` of the service account to bind them to")
	f.BoolVar(&o.agent, "agent", false, "print the roles of the watchers and not those of a responder")
	f.StringVar(&o.lease, "lease-namespace", "weightwarden", "`namespace` of the watchers' leases, with --agent")
	return cmd
}

func runKubeRBAC(g *globals, o rbacOptions) error {
	subject, err := o.subject()
	if err != nil {
		return err
	}
	if len(o.namespaces) == 0 {
		return usage("--namespace is missing: in which namespaces may models be contained?")
	}
	places := slices.Compact(slices.Sorted(slices.Values(o.namespaces)))
	if o.agent {
		return g.manifests(cluster.PublishRoles(o.lease, places, subject))
	}
	needs := cluster.Looking()
	for _, d := range catalog.Cluster(nil, nil, nil) {
		for _, list := range d.Needs() {
			needs = append(needs, list...)
		}
	}
	return g.manifests(cluster.Roles(needs, places, subject))
}

// manifests prints objects as one list that kubectl applies.
func (g *globals) manifests(list []cluster.Object) error {
	items := []any{}
	for _, o := range list {
		items = append(items, map[string]any(o))
	}
	data, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, "", "  ")
	if err != nil {
		return err
	}
	_, err = g.Stdout.Write(append(data, '\n'))
	return err
}

// subject reads the one subject that the flags name.
func (o rbacOptions) subject() (cluster.Subject, error) {
	namespace, name, both := strings.Cut(o.account, "/")
	given := 0
	for _, text := range []string{o.user, o.group, o.account} {
		if text != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return cluster.Subject{}, usage("name one of --user, --group and --service-account").
			WithHint("for whom the roles are, for example: weightwarden kube rbac --user oncall")
	case o.user != "":
		return cluster.Subject{Kind: "User", Name: o.user}, nil
	case o.group != "":
		return cluster.Subject{Kind: "Group", Name: o.group}, nil
	case !both || namespace == "" || name == "":
		return cluster.Subject{}, usage("--service-account: want NAMESPACE/NAME, this is %.80q", o.account)
	}
	return cluster.Subject{Kind: "ServiceAccount", Name: name, Namespace: namespace}, nil
}
