package e2e_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/cluster"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with a file of the scenario, which is the same
// whatever the scenario is run against.
func (s scenario) golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "scenarios", s.name, name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("not as in %s (write it with -update):\n%s", file, d)
	}
}

// planned is a plan for people: which steps, on what, in which order, and what
// is remarked.
func planned(steps []action.Step, remarks []string, incident string) string {
	var b strings.Builder
	for _, step := range steps {
		fmt.Fprintf(&b, "%s (%s) of %s\n  %s\n  done when: %s\n", step.ID, step.Kind, step.Target, step.Summary, step.Post)
		if step.Inverse != nil {
			fmt.Fprintf(&b, "  taken back by %s: %s\n", step.Inverse.Kind, step.Inverse.Summary)
		}
	}
	for _, remark := range remarks {
		fmt.Fprintf(&b, "remark: %s\n", remark)
	}
	return strings.NewReplacer(incident, "INCIDENT", strings.ToLower(incident), "incident").Replace(b.String())
}

// plan returns the steps of a document that holds a plan.
func planOf(t *testing.T, doc map[string]any) action.Plan {
	t.Helper()
	text, _ := json.Marshal(doc["plan"])
	var plan action.Plan
	if err := json.Unmarshal(text, &plan); err != nil || len(plan.Steps) == 0 {
		t.Fatalf("no plan: %v", err)
	}
	return plan
}

// journaled are the kinds of entries that a journal is made of.
var journaled = map[string]bool{
	"plan_made": true, "plan_approved": true, "step_intended": true, "step_executed": true, "step_observed": true,
	"containment_reverted": true, "gate_refused": true,
}

var (
	hashes  = regexp.MustCompile(`[0-9a-f]{12,64}`)
	podName = regexp.MustCompile(`(Pod [^ ,]+)-[0-9a-z]{8,10}-[0-9a-z]{5}\b`)
)

// journal is what the record says of plans and their steps, in order, without
// what differs from run to run.
func (h *host) journaled() string {
	h.t.Helper()
	var events []struct{ Kind, Description string }
	_, stdout, stderr := h.try("incident", "timeline", h.incident)
	if err := json.Unmarshal([]byte(stdout), &events); err != nil || len(events) == 0 {
		h.t.Fatalf("no timeline: %v\n%s%s", err, stdout, stderr)
	}
	var lines []string
	for _, e := range events {
		// What only looks may see at once what it waits for.
		looks := strings.Contains(e.Description, "tep census ") && e.Kind != "step_observed"
		switch {
		case !journaled[e.Kind] || looks:
		case e.Kind == "step_executed" && strings.Contains(e.Description, "returned an error") && len(lines) > 0:
			lines = lines[:len(lines)-1] // a controller was faster, and the step is tried again
		default:
			lines = append(lines, e.Kind+": "+podName.ReplaceAllString(hashes.ReplaceAllString(e.Description, "HASH"), "$1-POD")+"\n")
		}
	}
	return strings.NewReplacer(h.incident, "INCIDENT", strings.ToLower(h.incident), "incident").Replace(strings.Join(lines, ""))
}

// touched are the fields that containment changes, by the kinds that have them.
var touched = map[cluster.Kind][]string{
	cluster.Deployments:       {"/spec/replicas", "/spec/template/spec/containers/0/image"},
	cluster.StatefulSets:      {"/spec/replicas", "/spec/ordinals", "/spec/template/spec/containers/0/image"},
	cluster.Rollouts:          {"/spec/replicas", "/spec/template/spec/containers/0/image"},
	cluster.DaemonSets:        {"/spec/template/spec/nodeSelector", "/spec/template/spec/containers/0/image"},
	cluster.Services:          {"/spec/selector"},
	cluster.NetworkPolicies:   {"/spec/podSelector", "/spec/policyTypes", "/spec/ingress", "/spec/egress"},
	cluster.Autoscalers:       {"/spec/scaleTargetRef/name"},
	cluster.ScaledObjects:     {"/metadata/annotations"},
	cluster.Applications:      {"/metadata/annotations"},
	cluster.Kustomizations:    {"/spec/suspend"},
	cluster.HelmReleases:      {"/spec/suspend"},
	cluster.HTTPRoutes:        {"/spec/rules"},
	cluster.InferenceServices: {"/metadata/annotations", "/spec/predictor/model/storageUri"},
}

// end is the state of the scenario's namespaces as far as containment goes, in
// words that are the same wherever it runs.
func (s scenario) end(t *testing.T, api cluster.API, incident string) string {
	t.Helper()
	var lines []string
	for kind, fields := range touched {
		for _, ns := range s.namespaces {
			list, err := api.List(t.Context(), kind, ns, "")
			if err != nil {
				continue // a kind that this control plane has not
			}
			for _, o := range list {
				line := kind.In(ns, o.ObjectName()).String()
				for _, f := range fields {
					if v, ok := o.At(f); ok {
						text, _ := json.Marshal(v)
						line += fmt.Sprintf("\n  %s %s", f, text)
					}
				}
				lines = append(lines, line)
			}
		}
	}
	reached := s.endpoints(t.Context(), api)
	pods := map[string]int{}
	for uid, o := range s.pods(t, api) {
		labels := o.Labels()
		maps.DeleteFunc(labels, func(k, _ string) bool {
			return strings.Contains(k, "hash") || strings.Contains(k, "generation") || strings.Contains(k, "pod-") || strings.Contains(k, "ordinal")
		})
		text, _ := json.Marshal(labels)
		sources, _ := json.Marshal(cluster.Sources(cluster.Spec(o)))
		pods[fmt.Sprintf("of %s in %s, %s, endpoint: %t\n  labels %s\n  sources %s", orNobody(o.Controller().Text("/kind")), o.Namespace(), o.Text("/status/phase"), reached[uid], text, sources)]++
	}
	for text, n := range pods {
		lines = append(lines, fmt.Sprintf("%d pods %s", n, text))
	}
	for _, kind := range []cluster.Kind{cluster.AdmissionPolicies, cluster.AdmissionBindings} {
		list, err := api.List(t.Context(), kind, "", cluster.LabelIncident+"="+incident)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			lines = append(lines, kind.In("", o.ObjectName()).String())
		}
	}
	slices.Sort(lines)
	return strings.NewReplacer(incident, "INCIDENT", strings.ToLower(incident), "incident").Replace(strings.Join(lines, "\n") + "\n")
}

func orNobody(kind string) string {
	if kind == "" {
		return "nobody"
	}
	return kind
}
