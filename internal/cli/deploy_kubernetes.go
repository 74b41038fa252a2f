package cli

import (
	"cmp"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/deploy"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/rollout"
)

type deployOptions struct {
	deploy.Workload
	form, into, target string
	apply, dry         bool
	timeout            time.Duration
	cluster            clusterFlags
}

func newDeployKubernetes(g *globals) *cobra.Command {
	var o deployOptions
	cmd := &cobra.Command{
		Use: "kubernetes", Short: "Print Kubernetes manifests, or apply them", Args: cobra.NoArgs,
		Long: `Prints manifests that run watch with the configuration of --config: a DaemonSet
with its ConfigMap, service account and role, or what puts the watcher into the
pods of a server, as a sidecar or before its start. The directories of the
models are mounted read-only. A change of the configuration is rolled out, since
its checksum is in the pod template.

With --apply it is put into the cluster by a server-side apply, after a dry run
of all of it, and the rollout is waited for: until every pod that is wanted was
seen with the new state and available. --dry-run shows what would change, and
changes nothing. Fields that others own are refused with exit code 5, never
taken by force; a rollout that does not finish within --timeout is exit code 4,
with what its pods wait for.`,
		Example: "  weightwarden --config config.yaml deploy kubernetes --image registry.example.com/weightwarden:1.0 > weightwarden.yaml\n" +
			"  weightwarden --config config.yaml deploy kubernetes --image registry.example.com/weightwarden:1.0 --apply\n" +
			"  weightwarden --config config.yaml deploy kubernetes --form sidecar --volume models > patch.yaml\n" +
			"  weightwarden --config config.yaml deploy kubernetes --form sidecar --volume models --workload deployment/fraud -n serving --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error { return runDeployKubernetes(cmd.Context(), g, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.form, "form", "daemonset", "`form`: daemonset, sidecar or init")
	f.StringVar(&o.Image, "image", "weightwarden:latest", "container `image`, best by digest")
	f.StringVar(&o.into, "into", "weightwarden", "`namespace` of the DaemonSet")
	f.BoolVar(&o.Root, "root", false, "run as root, with the right to read every file and no other")
	f.BoolVar(&o.Who, "who", false, "also tell who changes a file, which takes SYS_ADMIN; with --root")
	f.StringVar(&o.Claim, "claim", "", "volume `claim` for the state of a sidecar")
	f.StringVar(&o.Volume, "volume", "", "the pod's `volume` that holds the models, for sidecar and init")
	f.StringVar(&o.target, "workload", "", "`kind/name` of the workload that a sidecar or init container is put into")
	f.BoolVar(&o.apply, "apply", false, "apply to the cluster and wait for the rollout")
	f.BoolVar(&o.dry, "dry-run", false, "ask the cluster what --apply would change, and change nothing")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how `long` to wait for the rollout")
	o.cluster.add(f)
	f.Lookup("namespace").Usage = "`namespace` of the workload (default that of the context)"
	return cmd
}

func runDeployKubernetes(ctx context.Context, g *globals, o deployOptions) error {
	if o.apply && o.dry {
		return usage("--apply and --dry-run exclude each other").WithHint("look first with --dry-run, then run it again with --apply")
	}
	w, err := g.workload(o)
	if err != nil {
		return err
	}
	if o.apply || o.dry {
		return g.deployTo(ctx, o, w)
	}
	if w.Namespace == "" {
		w.Namespace = o.cluster.options.Namespace
	}
	text, err := deploy.Kubernetes(w)
	if err != nil {
		return err
	}
	if !g.json() {
		_, err = g.Stdout.Write(text)
		return err
	}
	objects, err := deploy.Objects(text)
	if err != nil {
		return err
	}
	if w.Form != deploy.DaemonSet && w.Target.Name == "" {
		return g.print(objects[0], nil)
	}
	return g.print(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}, nil)
}

// workload is what the flags and the configuration say.
func (g *globals) workload(o deployOptions) (w deploy.Workload, err error) {
	c, err := g.deployed()
	if err != nil {
		return w, err
	}
	w = o.Workload
	w.Form = deploy.Form(o.form)
	if w.Form == deploy.DaemonSet {
		w.Namespace = o.into
	}
	if w.Target, err = deploy.ParseTarget(o.target); err != nil {
		return w, err
	}
	if w.Config, err = os.ReadFile(c.Path); err != nil {
		return w, fault.New(fault.Incomplete, "read configuration: %w", err)
	}
	w.Announces = len(c.Cluster.Models) > 0
	for _, m := range c.Models {
		w.Models = append(w.Models, filepath.ToSlash(m.Path))
	}
	if host, port, err := net.SplitHostPort(c.Operations.Listen); err == nil {
		if ip := net.ParseIP(host); host != "" && (ip == nil || ip.IsLoopback()) {
			return w, usage("operations.listen: probes cannot reach %s from outside the pod", c.Operations.Listen).
				WithHint("set listen: \":%s\" in %s", port, c.Path)
		}
		w.Port, _ = strconv.Atoi(port)
	}
	if names := writtenOut(c); len(names) > 0 {
		stderr := &printer{w: g.Stderr}
		stderr.printf("look at: %s: a secret is written out in the configuration, and a ConfigMap keeps none: use {file: …} below /etc/weightwarden/secrets\n", strings.Join(names, ", "))
		return w, stderr.err
	}
	return w, nil
}

// deployment is the result of applying, or of the dry run of it.
type deployment struct {
	Applied bool             `json:"applied"`
	Objects []rollout.Change `json:"objects"`
	// Rollout is what was observed; nil for a dry run.
	Rollout *rollout.Status `json:"rollout,omitempty"`
	// Error is why it was not finished.
	Error string `json:"error,omitempty"`
}

// deployTo applies the manifests, or tries to, and waits for the rollout.
func (g *globals) deployTo(ctx context.Context, o deployOptions, w deploy.Workload) error {
	if w.Form != deploy.DaemonSet && w.Target.Name == "" {
		return usage("--workload is missing: which workload is the %s put into?", w.Form).WithHint("add --workload deployment/NAME")
	}
	if o.timeout <= 0 {
		return usage("--timeout: want a time of more than 0, this is %s", o.timeout)
	}
	api, err := o.cluster.client(g.Env)
	if err != nil {
		return err
	}
	w.Namespace = cmp.Or(w.Namespace, api.Namespace)
	text, err := deploy.Kubernetes(w)
	if err != nil {
		return err
	}
	objects, err := deploy.Objects(text)
	if err != nil {
		return err
	}
	target := objects[len(objects)-1] // what runs is the last of them
	ref, err := ready(ctx, api, target, w)
	if err != nil {
		return deployHint(err)
	}
	if o.dry {
		changes, err := rollout.Plan(ctx, api, objects)
		if err != nil {
			return deployHint(err)
		}
		return g.printDeployment(deployment{Objects: changes})
	}
	return g.applyAndWait(ctx, api, objects, ref, w.Checksum(), o.timeout)
}

// ready looks whether what a container is put into is there, with the volume.
func ready(ctx context.Context, api rollout.API, target cluster.Object, w deploy.Workload) (cluster.Ref, error) {
	kind, err := api.Resource(ctx, target.Text("/apiVersion"), target.Text("/kind"))
	ref := kind.In(target.Namespace(), target.ObjectName())
	if err != nil || w.Form == deploy.DaemonSet {
		return ref, err
	}
	now, err := api.Get(ctx, ref)
	if fault.KindOf(err) == fault.NotFound {
		return ref, fault.New(fault.NotFound, "there is no %s", ref).WithHint("see kubectl get deployments,statefulsets,daemonsets -A, and name it with --workload and --namespace")
	}
	if err != nil {
		return ref, err
	}
	var volumes []string
	for _, v := range now.Items("/spec/template/spec/volumes") {
		volumes = append(volumes, artifact.Quote(v.Text("/name")))
	}
	if !slices.Contains(volumes, w.Volume) {
		return ref, usage("%s has no volume %s", ref, artifact.Quote(w.Volume)).WithHint("name the one that holds the models with --volume; there are: %s", cmp.Or(strings.Join(volumes, ", "), "none"))
	}
	return ref, nil
}

func (g *globals) applyAndWait(ctx context.Context, api rollout.API, objects []cluster.Object, ref cluster.Ref, checksum string, limit time.Duration) error {
	d := deployment{}
	var err error
	d.Objects, err = rollout.Apply(ctx, api, objects)
	if err != nil {
		if len(d.Objects) > 0 {
			d.Error = err.Error()
			_ = g.printDeployment(d)
		}
		return deployHint(err)
	}
	d.Applied = true
	bar := newProgress(g)
	status, err := rollout.Wait(ctx, api, ref, checksum, limit, func(s rollout.Status) { bar.line("%s: %s", ref, s) })
	bar.done()
	d.Rollout = &status
	if err != nil {
		d.Error = err.Error()
	}
	if printed := g.printDeployment(d); printed != nil {
		return printed
	}
	return err
}

// deployHint names the next step where the cluster would not take the objects.
func deployHint(err error) error {
	again := fault.New(fault.KindOf(err), "%w", err)
	switch fault.KindOf(err) {
	case fault.Conflict: // fields of others become ours by somebody's decision only
		return again.WithHint("change them where they are kept; or, when weightwarden shall own them from now on, " +
			"print the manifests without --apply and: kubectl apply --server-side --force-conflicts --field-manager=weightwarden -f FILE")
	case fault.Refused:
		return again.WithHint("deploying takes the right to get, create and patch these kinds of objects there: name another user with --context or --as")
	case fault.Incomplete:
		return again.WithHint("check that the cluster runs and can be reached, then run the same command again: what is there already stays as it is")
	default:
		return err
	}
}

func (g *globals) printDeployment(d deployment) error {
	return g.print(d, func(p *printer) {
		for _, c := range d.Objects {
			name := artifact.Quote(c.Name)
			if c.Namespace != "" {
				name = artifact.Quote(c.Namespace) + "/" + name
			}
			p.printf("%-10s %s %s\n", outcomes[c.Outcome], c.Kind, name)
			for _, f := range c.Fields {
				p.printf("           %s: %s -> %s\n", artifact.Quote(f.Path), side(f.Before), side(f.After))
			}
		}
		switch {
		case d.Rollout != nil && d.Error == "":
			p.printf("rolled out: %s, after %.1f s\n", d.Rollout, d.Rollout.Seconds)
		case !d.Applied && d.Error == "":
			p.printf("nothing was changed: this was a dry run\n")
		}
	})
}

var outcomes = map[rollout.Outcome]string{
	rollout.Created: "created", rollout.Changed: "changed", rollout.Unchanged: "unchanged", rollout.Waits: "created",
}

// side is one side of a change, on one line and not too long.
func side(v []byte) string {
	const most = 100
	text := string(v)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return cmp.Or(artifact.Quote(text), "nothing")
}

// writtenOut returns the receivers whose secrets stand in the configuration.
func writtenOut(c *config.Config) (names []string) {
	if c.AlertWebhook != "" {
		names = append(names, config.GuideReceiver)
	}
	for _, r := range c.Alerts.Receivers {
		for _, into := range r.Config.Keys() {
			if s, ok := into.(*notify.Secret); ok {
				if _, written := s.Written(); written && !slices.Contains(names, r.Name) {
					names = append(names, r.Name)
				}
			}
		}
	}
	return names
}
