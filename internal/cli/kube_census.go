package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/announce"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/census"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/deploy"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

const kubeCensusLong = `Shows of each replica of a model's workloads what it really has, and by what that
is known: the verdict of the agent on its node, where workloads: mounted and
agents are configured; else the digests of the images that it names and runs.

A verdict counts when it is signed by a key that is configured for that node,
is about this cluster, this node and just what the replica has mounted, and when
the agent has said, since the replica started and within the last two minutes,
that it still stands. An older one than was seen before does not count. Whatever
cannot be told is unknown, and counts as affected.

The exit code is 1 when an agent says that a replica has a model that is not the
one of its baseline, 3 when nobody vouches for that, else 4 when something is
unknown. Nothing is changed.`

func newKubeCensus(g *globals) *cobra.Command {
	var f clusterFlags
	cmd := &cobra.Command{
		Use: "census MODEL", Short: "Show what each replica of a model has, and how that is known", Long: kubeCensusLong, Args: cobra.ExactArgs(1),
		Example: "  weightwarden kube census fraud\n  weightwarden kube census fraud --context production -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error { return runKubeCensus(cmd.Context(), s, f, args[0]) })
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// censusOut is what kube census prints.
type censusOut struct {
	Model    string           `json:"model"`
	Time     time.Time        `json:"time"`
	Replicas []census.Replica `json:"replicas"`
	Unknown  int              `json:"unknown"`
	Bad      int              `json:"bad"`
	// Unvouched counts those of a baseline that nobody vouches for.
	Unvouched int      `json:"unvouched"`
	Remarks   []string `json:"remarks"`
}

func runKubeCensus(ctx context.Context, s *session, f clusterFlags, model string) error {
	if err := s.mustConfig(); err != nil {
		return err
	}
	w, ok := s.conf.Served(model)
	if !ok {
		return fault.New(fault.Invalid, "no workloads of the model %s in the configuration", artifact.Quote(model)).
			WithHint("say what serves it under workloads:")
	}
	if err := s.connect(f); err != nil {
		return err
	}
	out, err := s.census(ctx, w)
	if err != nil {
		return err
	}
	if len(out.Replicas) == 0 {
		out.Remarks = append(out.Remarks, "no pod of the cluster serves the model")
	}
	if err := s.print(out, func(p *printer) { printCensus(p, &out) }); err != nil {
		return err
	}
	return outcome(out.Bad > 0, out.Unvouched > 0, out.Unknown > 0 || len(out.Replicas) == 0)
}

// census looks what each replica has now.
func (s *session) census(ctx context.Context, w config.Workload) (censusOut, error) {
	out := censusOut{Model: w.Model, Time: s.Now().UTC(), Replicas: []census.Replica{}}
	scene, err := s.look(ctx, w)
	if err != nil {
		return out, err
	}
	out.Remarks = append([]string{}, scene.Remarks...)
	pods := []cluster.Object{}
	var namespaces []string
	for _, one := range scene.Workloads {
		pods = append(append(pods, one.Pods...), one.Detached...)
		namespaces = append(namespaces, one.Control.Ref.Namespace)
	}
	var said census.Said
	if len(w.Agents) > 0 {
		if said, err = census.Gather(ctx, s.cluster, namespaces); err != nil {
			return out, err
		}
	}
	witnesses, err := census.Hear(said, census.Question{Model: w.Model, Cluster: scene.Cluster, Agents: pinned(w)}, nil, s.Now())
	if err != nil {
		return out, err
	}
	for _, pod := range pods {
		if cluster.Ended(pod) {
			continue
		}
		r := witnesses.Replica(pod, w.Mounted)
		out.Replicas = append(out.Replicas, r)
		switch {
		case !r.Known():
			out.Unknown++
		case r.State == verdict.Tampered:
			out.Bad++
		case r.State == verdict.Untrusted || r.State == verdict.Unverified:
			out.Unvouched++
		}
	}
	slices.SortFunc(out.Replicas, census.Replica.Compare)
	return out, nil
}

// pinned are the agents whose verdicts count.
func pinned(w config.Workload) (out []census.Agent) {
	for _, a := range w.Agents {
		out = append(out, census.Agent{Node: a.Node, Key: a.Key.String()})
	}
	return out
}

func printCensus(p *printer, o *censusOut) {
	for _, r := range o.Replicas {
		digest, by := r.Digest, string(r.By)
		if !r.Known() {
			digest, by = "UNKNOWN", "counts as affected"
		}
		p.printf("%s/%s  node %s  %s  %s", artifact.Quote(r.Namespace), artifact.Quote(r.Pod), artifact.Quote(r.Node), artifact.Quote(digest), by)
		if r.By == census.ByVerdict {
			p.printf(" %s, looked at %s ago, stands since %s ago", r.State, o.Time.Sub(r.LookedAt).Round(time.Second), o.Time.Sub(r.StoodAt).Round(time.Second))
		}
		if r.Incident != "" {
			p.printf("  evidence of %s", artifact.Quote(r.Incident))
		}
		if r.Why != "" {
			p.printf(": %s", oneLine(r.Why))
		}
		p.printf("\n")
	}
	for _, remark := range o.Remarks {
		p.printf("remark: %s\n", oneLine(remark))
	}
	p.printf("%s, %d unknown, %d not of their baseline, %d that nobody vouches for\n", plural(len(o.Replicas), "replica", "replicas"), o.Unknown, o.Bad, o.Unvouched)
}

func newKubeCRDs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "crds", Short: "Print the kind of resource that agents write the status of", Args: cobra.NoArgs,
		Long: `Prints the manifest of the kind ProtectedModel (weightwarden.dev/v1alpha1), whose
status the agents of a cluster write; see cluster: in the configuration. The
kind Report of OpenReports (openreports.io/v1alpha1) is not ours and is
installed as its project says.`,
		Example: "  weightwarden kube crds | kubectl apply -f -",
		RunE: func(*cobra.Command, []string) error {
			text := []byte(announce.Definition())
			if !g.json() {
				_, err := g.Stdout.Write(text)
				return err
			}
			objects, err := deploy.Objects(text)
			if err != nil {
				return err
			}
			return g.print(objects[0], nil)
		},
	}
}
