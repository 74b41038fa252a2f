package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cli"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// What the parent tells a child, in its environment.
const (
	childArgs  = "WEIGHTWARDEN_E2E_ARGS"
	childPoint = "WEIGHTWARDEN_E2E_POINT"
)

// TestMain is the program itself when it is told to be.
func TestMain(m *testing.M) {
	if args := os.Getenv(childArgs); args != "" {
		os.Exit(child(strings.Split(args, "\n")))
	}
	os.Exit(m.Run())
}

// child runs a command and kills its own process at a point of the journal.
func child(args []string) int {
	point, err := strconv.Atoi(os.Getenv(childPoint))
	if err != nil {
		return 2
	}
	env := world(&bytes.Buffer{}, &bytes.Buffer{})
	env.Stderr = os.Stderr
	env.Journal = func(string) {
		if point--; point == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	return cli.Main(context.Background(), env, args)
}

// stage is one deployment of three replicas in a namespace of its own, with an
// incident declared.
type stage struct {
	scenario
	host   *host
	served map[string]cluster.Object
}

// stageAt makes a stage like the scenario "deployment".
func stageAt(t *testing.T, p *plane, kubeconfig, namespace string) stage {
	t.Helper()
	s := stage{scenario: scenario{name: "deployment", namespaces: []string{namespace}, replicas: 3, patience: time.Minute}}
	s.deploy(t, p.api)
	s.host = newHost(t, kubeconfig, "fraud", s.read(t, "workloads.yaml", namespace), 2)
	s.served = s.pods(t, p.api)
	s.host.declare("fraud")
	return s
}

// at makes the host call do when the journal passes a point.
func (h *host) at(point string, do func()) {
	h.journal = func(name string) {
		if name == point {
			do()
		}
	}
}

// TestFaults breaks what the responder relies on while it works with a real
// control plane. What takes the API away comes before what needs it.
func TestFaults(t *testing.T) {
	p := newPlane(t)
	namespaces := []string{"stopped", "restarted", "deleted", "denied", "policy", "half", "stormed", "dropped", "conflicts", "fought", "removed"}
	for n := range journalPoints {
		namespaces = append(namespaces, fmt.Sprintf("killed-%d", n+1))
	}
	responder := p.responder(t, namespaces...)
	at := func(namespace string, do func(*testing.T, stage)) func(*testing.T) {
		return func(t *testing.T) { do(t, stageAt(t, p, responder, namespace)) }
	}
	t.Run("api_stopped_for_30_s", at("stopped", p.stopped))
	t.Run("api_killed_and_restarted", at("restarted", p.restarted))
	t.Run("too_many_requests", at("stormed", p.stormed))
	for name, do := range map[string]func(t *testing.T){
		"evidence_deleted_under_us":    at("deleted", p.deleted),
		"forbidden_in_one_namespace":   func(t *testing.T) { forbidden(t, p, responder) },
		"deny_rule":                    at("policy", func(t *testing.T, s stage) { denyRule(t, p, s) }),
		"roles_deny_deleting_evidence": at("denied", func(t *testing.T, s stage) { leastPrivilege(t, p, s, responder) }),
		"connections_drop":             at("dropped", p.dropped),
		"conflicts":                    at("conflicts", p.conflicts),
		"somebody_works_against_it":    at("fought", p.fought),
		"service_deleted_under_us":     at("removed", p.removed),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			do(t)
		})
	}
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		killed(t, p, responder)
	})
}

func (p *plane) stopped(t *testing.T, s stage) {
	s.host.at("observed cut-stopped-fraud", func() {
		api := p.processes["apiserver"].Process
		if err := api.Signal(syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
		time.AfterFunc(30*time.Second, func() { _ = api.Signal(syscall.SIGCONT) })
	})
	began := time.Now()
	s.host.finish(t, "isolate", "--apply")
	if took := time.Since(began); took < 30*time.Second {
		t.Errorf("isolated in %v although the API was stopped", took)
	}
	s.contained(t, p.api, s.host, s.served)
}

func (p *plane) restarted(t *testing.T, s stage) {
	s.host.at("intended detach-deployments-restarted-fraud", func() {
		p.end("apiserver", syscall.SIGKILL)
		p.startAPI(t)
	})
	s.host.finish(t, "isolate", "--apply")
	s.contained(t, p.api, s.host, s.served)
}

func (p *plane) deleted(t *testing.T, s stage) {
	var gone cluster.Object
	s.host.at("intended detach-deployments-deleted-fraud", func() {
		for uid, o := range s.served {
			gone = o
			delete(s.served, uid)
			if err := p.api.Delete(t.Context(), cluster.Pods.In(o.Namespace(), o.ObjectName()), uid); err != nil {
				t.Error(err)
			}
			return
		}
	})
	s.host.finish(t, "isolate", "--apply")
	s.contained(t, p.api, s.host, s.served)
	if shown := fmt.Sprint(s.host.run(0, "incident", "show", s.host.incident)); !strings.Contains(shown, gone.ObjectName()) {
		t.Errorf("the record does not name the pod that is lost: %s", shown)
	}
}

// forbidden isolates what is in two namespaces, in one of which nothing may be
// done.
func forbidden(t *testing.T, p *plane, responder string) {
	if _, err := p.api.Create(t.Context(), cluster.Namespaces, cluster.Object{"metadata": map[string]any{"name": "unbound"}}, false); err != nil {
		t.Fatal(err)
	}
	s := scenario{name: "namespaces", namespaces: []string{"half", "unbound"}, replicas: 4, patience: time.Minute}
	s.deploy(t, p.api)
	h := newHost(t, responder, "fraud", strings.NewReplacer("namespaces-a", "half", "namespaces-b", "unbound").Replace(s.read(t, "workloads.yaml", "")), 2)
	h.declare("fraud")
	before := s.state(t, p.api)
	code, _, stderr := h.try("incident", "isolate", h.incident, "--kubeconfig", responder, "--apply")
	if code != 5 || !strings.Contains(stderr, `in namespace "unbound"`) || strings.Contains(stderr, `in namespace "half"`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if after := s.state(t, p.api); fmt.Sprint(before) != fmt.Sprint(after) || len(s.endpoints(t.Context(), p.api)) != 4 {
		t.Error("something was changed")
	}
}

// journalPoints are where the plan was recorded, and four for each step: cut,
// deny, detach, quarantine, stop.
const journalPoints = 1 + 4*5

// killed kills the responder at each point of its journal; the next one ends
// the work.
func killed(t *testing.T, p *plane, responder string) {
	for n := range journalPoints {
		t.Run(fmt.Sprintf("point_%d", n+1), func(t *testing.T) {
			t.Parallel()
			s := stageAt(t, p, responder, fmt.Sprintf("killed-%d", n+1))
			if !s.host.killed(t, n+1, "isolate") {
				t.Fatalf("the program was not killed at point %d", n+1)
			}
			s.host.act(0, "resume")
			s.contained(t, p.api, s.host, s.served)
		})
	}
}

// killed runs a command that is killed at a point of its journal, and reports
// whether it was: with fewer points than that it is done.
func (h *host) killed(t *testing.T, point int, command string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", childPoint, point), childArgs+"="+strings.Join(
		h.arguments([]string{"incident", command, h.incident, "--kubeconfig", h.kubeconfig, "--apply"}), "\n"))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s, to be killed at point %d: %v\n%s", command, point, err, out)
	}
	return true
}

// finish runs a command until it is done.
func (h *host) finish(t *testing.T, command string, args ...string) {
	t.Helper()
	run := append([]string{command, h.incident, "--kubeconfig", h.kubeconfig}, args...)
	code, _, stderr := h.try(append([]string{"incident"}, run...)...)
	h.goOn(t, code, stderr, run...)
}

// goOn ends what ended with a code and a message: it is continued as its hint
// says, or begun again where nothing was begun.
func (h *host) goOn(t *testing.T, code int, stderr string, run ...string) {
	t.Helper()
	h.journal = nil
	for n := 0; code != 0 && n < 8; n++ { // each step may meet a fault of its own
		t.Logf("exit code %d: %s", code, stderr)
		next := run
		if h.begun(run[0]) {
			next = []string{"resume", h.incident, "--kubeconfig", h.kubeconfig}
			if !strings.Contains(stderr, "resume") {
				t.Errorf("it does not say how to go on: %s", stderr)
			}
		}
		code, _, stderr = h.try(append([]string{"incident"}, next...)...)
	}
	if code != 0 {
		t.Fatalf("not done: exit code %d: %s", code, stderr)
	}
}

// begun reports whether a plan for an action is on record.
func (h *host) begun(command string) bool {
	h.t.Helper()
	shown := cluster.Object(h.run(0, "incident", "show", h.incident))
	for _, p := range shown.Items("/plans") {
		if _, ok := p.At("/approval"); ok && p.Text("/action") == command {
			return true
		}
	}
	return false
}

// denyRule looks at what the policy refuses, and at what it must not be in the
// way of.
func denyRule(t *testing.T, p *plane, s stage) {
	ctx := t.Context()
	ns := s.namespaces[0]
	trial := func(image string) error {
		_, err := p.api.Create(ctx, cluster.Pods, cluster.Object{
			"metadata": map[string]any{"name": "trial", "namespace": ns},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "s", "image": image}}},
		}, true)
		return err
	}
	s.host.at("intended detach-deployments-"+ns+"-fraud", func() {
		if err := trial("elsewhere.invalid/copy@sha256:" + s.bad()); fault.KindOf(err) != fault.Refused {
			t.Errorf("the digest is not refused before detaching: %v", err)
		}
	})
	s.host.act(0, "isolate", "--apply")
	s.contained(t, p.api, s.host, s.served)
	if err := trial("registry.invalid/fraud@sha256:" + good); err != nil {
		t.Errorf("another digest is refused: %v", err)
	}
	// Scaling and labels of what carries the bad template are not refused.
	deployment := cluster.Deployments.In(ns, "fraud")
	for value, pointer := range map[any]string{2: "/spec/replicas", "x": "/metadata/labels/other"} {
		waitFor(t, "change of "+pointer, 10*time.Second, func() error { // its controller writes to it too
			o, err := p.api.Get(ctx, deployment)
			if err == nil {
				err = cluster.NewEdit(deployment, o, cluster.Set(o, pointer, value)).Apply(ctx, p.api)
			}
			return err
		})
	}
	time.Sleep(2 * time.Second)
	s.contained(t, p.api, s.host, s.served)
	remade(t, p, s, trial)
}

// remade deletes the policy and makes it again: it is in force no longer, and
// then again.
func remade(t *testing.T, p *plane, s stage, trial func(image string) error) {
	ctx := t.Context()
	var kept []cluster.Object
	for _, kind := range []cluster.Kind{cluster.AdmissionBindings, cluster.AdmissionPolicies} {
		list, err := p.api.List(ctx, kind, "", cluster.LabelIncident+"="+s.host.incident)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d of %s: %v", len(list), kind.Resource, err)
		}
		if err := p.api.Delete(ctx, kind.In("", list[0].ObjectName()), list[0].UID()); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, list[0])
	}
	bad := "registry.invalid/fraud@sha256:" + s.bad()
	waitFor(t, "the policy is in force no longer", 30*time.Second, func() error { return trial(bad) })
	for n, kind := range []cluster.Kind{cluster.AdmissionPolicies, cluster.AdmissionBindings} {
		o := kept[len(kept)-1-n]
		o["metadata"] = map[string]any{"name": o.ObjectName(), "labels": map[string]any{cluster.LabelIncident: s.host.incident}}
		delete(o, "status")
		if _, err := p.api.Create(ctx, kind, o, false); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	waitFor(t, "the policy is in force again", 30*time.Second, func() error {
		if err := trial(bad); fault.KindOf(err) != fault.Refused {
			return fmt.Errorf("accepted: %w", err)
		}
		return nil
	})
	t.Logf("in force again after %v", time.Since(began).Round(time.Millisecond))
}

// leastPrivilege tries what the responder's roles must not let it do.
func leastPrivilege(t *testing.T, p *plane, s stage, kubeconfig string) {
	api := connected(t, kubeconfig)
	ctx, ns := t.Context(), s.namespaces[0]
	for uid, o := range s.served {
		ref := cluster.Pods.In(ns, o.ObjectName())
		if err := api.Delete(ctx, ref, uid); fault.KindOf(err) != fault.Refused {
			t.Errorf("deleting evidence: %v", err)
		}
		change := []cluster.Op{{Op: "replace", Path: "/spec/containers/0/image", Value: cluster.Encode("x")}}
		if _, err := api.Patch(ctx, ref, change, false); fault.KindOf(err) != fault.Refused {
			t.Errorf("changing what a pod runs: %v", err)
		}
	}
	secrets := cluster.Kind{Version: "v1", Resource: "secrets", Name: "Secret"}
	if _, err := api.List(ctx, secrets, ns, ""); fault.KindOf(err) != fault.Refused {
		t.Errorf("reading secrets: %v", err)
	}
	made := cluster.Object{
		"metadata": map[string]any{"name": "mine", "namespace": ns},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": "s", "image": "x"}}},
	}
	if _, err := api.Create(ctx, cluster.Pods, made, false); fault.KindOf(err) != fault.Refused {
		t.Errorf("making a pod: %v", err)
	}
	if n := len(s.endpoints(ctx, p.api)); n != 3 {
		t.Errorf("%d endpoints", n)
	}
}
