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
	s := stage{scenario: scenario{name: "deployment", namespaces: []string{namespace}, replicas: 3}}
	s.deploy(t, p)
	s.host = newHost(t, kubeconfig, "fraud", s.read(t, "workloads.yaml", namespace))
	s.served = s.pods(t, p)
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

// TestFaults breaks what the responder relies on while it works.
func TestFaults(t *testing.T) {
	p := newPlane(t)
	namespaces := []string{"stopped", "restarted", "deleted", "denied", "policy", "half"}
	for n := range journalPoints {
		namespaces = append(namespaces, fmt.Sprintf("killed-%d", n+1))
	}
	responder := p.responder(t, namespaces...)
	t.Run("api_stopped_for_30_s", func(t *testing.T) {
		s := stageAt(t, p, responder, "stopped")
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
		s.contained(t, p, s.host, s.served)
	})
	t.Run("api_killed_and_restarted", func(t *testing.T) {
		s := stageAt(t, p, responder, "restarted")
		s.host.at("intended detach-deployments-restarted-fraud", func() {
			p.end("apiserver", syscall.SIGKILL)
			p.startAPI(t)
		})
		s.host.finish(t, "isolate", "--apply")
		s.contained(t, p, s.host, s.served)
	})
	t.Run("evidence_deleted_under_us", func(t *testing.T) {
		s := stageAt(t, p, responder, "deleted")
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
		s.contained(t, p, s.host, s.served)
		if shown := fmt.Sprint(s.host.run(0, "incident", "show", s.host.incident)); !strings.Contains(shown, gone.ObjectName()) {
			t.Errorf("the record does not name the pod that is lost: %s", shown)
		}
	})
	t.Run("forbidden_in_one_namespace", func(t *testing.T) {
		if _, err := p.api.Create(t.Context(), cluster.Namespaces, cluster.Object{"metadata": map[string]any{"name": "unbound"}}, false); err != nil {
			t.Fatal(err)
		}
		s := scenario{name: "namespaces", namespaces: []string{"half", "unbound"}, replicas: 4}
		s.deploy(t, p)
		h := newHost(t, responder, "fraud", strings.NewReplacer("namespaces-a", "half", "namespaces-b", "unbound").Replace(s.read(t, "workloads.yaml", "")))
		h.declare("fraud")
		before := s.state(t, p)
		code, _, stderr := h.try("incident", "isolate", h.incident, "--kubeconfig", responder, "--apply")
		if code != 5 || !strings.Contains(stderr, `in namespace "unbound"`) || strings.Contains(stderr, `in namespace "half"`) {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		if after := s.state(t, p); fmt.Sprint(before) != fmt.Sprint(after) || len(s.endpoints(t.Context(), p)) != 4 {
			t.Error("something was changed")
		}
	})
	t.Run("deny_rule", func(t *testing.T) { denyRule(t, p, stageAt(t, p, responder, "policy")) })
	t.Run("roles_deny_deleting_evidence", func(t *testing.T) { leastPrivilege(t, p, stageAt(t, p, responder, "denied"), responder) })
	t.Run("killed", func(t *testing.T) { killed(t, p, responder) })
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
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", childPoint, n+1), childArgs+"="+strings.Join(
				s.host.arguments([]string{"incident", "isolate", s.host.incident, "--kubeconfig", responder, "--apply"}), "\n"))
			if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the program was not killed at point %d: %v\n%s", n+1, err, out)
			}
			s.host.act(0, "resume")
			s.contained(t, p, s.host, s.served)
		})
	}
}

// finish runs a command until it is done: where it says that it is not, it is
// continued as its hint says.
func (h *host) finish(t *testing.T, command string, args ...string) {
	t.Helper()
	code, stdout, stderr := h.try(append([]string{"incident", command, h.incident, "--kubeconfig", h.kubeconfig}, args...)...)
	h.journal = nil
	for n := 0; code != 0 && n < 3; n++ {
		t.Logf("exit code %d: %s", code, stderr)
		if !strings.Contains(stderr, "resume") {
			t.Fatalf("it does not say how to go on: %s%s", stdout, stderr)
		}
		code, stdout, stderr = h.try("incident", "resume", h.incident, "--kubeconfig", h.kubeconfig)
	}
	if code != 0 {
		t.Fatalf("not done: %s%s", stdout, stderr)
	}
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
	s.contained(t, p, s.host, s.served)
	if err := trial("registry.invalid/fraud@sha256:" + good); err != nil {
		t.Errorf("another digest is refused: %v", err)
	}
	// Scaling and labels of what carries the bad template are not refused.
	deployment := cluster.Deployments.In(ns, "fraud")
	for value, pointer := range map[any]string{2: "/spec/replicas", "x": "/metadata/labels/other"} {
		o, err := p.api.Get(ctx, deployment)
		if err == nil {
			err = cluster.NewEdit(deployment, o, cluster.Set(o, pointer, value)).Apply(ctx, p.api)
		}
		if err != nil {
			t.Errorf("change of %s: %v", pointer, err)
		}
	}
	time.Sleep(2 * time.Second)
	s.contained(t, p, s.host, s.served)
	// Deleted and made again it is in force again.
	for _, kind := range []cluster.Kind{cluster.AdmissionBindings, cluster.AdmissionPolicies} {
		list, err := p.api.List(ctx, kind, "", cluster.LabelIncident+"="+s.host.incident)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d of %s: %v", len(list), kind.Resource, err)
		}
		if err := p.api.Delete(ctx, kind.In("", list[0].ObjectName()), list[0].UID()); err != nil {
			t.Fatal(err)
		}
		defer func() {
			o := list[0]
			o["metadata"] = map[string]any{"name": o.ObjectName(), "labels": map[string]any{cluster.LabelIncident: s.host.incident}}
			delete(o, "status")
			if _, err := p.api.Create(ctx, kind, o, false); err != nil {
				t.Error(err)
			}
			if kind != cluster.AdmissionBindings {
				return
			}
			began := time.Now()
			waitFor(t, "the policy is in force again", 10*time.Second, func() error {
				if err := trial("registry.invalid/fraud@sha256:" + s.bad()); fault.KindOf(err) != fault.Refused {
					return fmt.Errorf("accepted: %w", err)
				}
				return nil
			})
			t.Logf("in force again after %v", time.Since(began).Round(time.Millisecond))
		}()
	}
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
	if n := len(s.endpoints(ctx, p)); n != 3 {
		t.Errorf("%d endpoints", n)
	}
}
