package deploy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/deploy"
	"github.com/weightwarden/weightwarden/internal/deploy/charttest"
)

const chart = "../../deploy/helm/weightwarden/"

// What the chart makes of its values is what the command prints, where both
// say something.
func TestChart(t *testing.T) {
	for _, root := range []bool{false, true} {
		out, err := charttest.Render(chart, "ww", map[string]any{"root": root})
		if err != nil {
			t.Fatal(err)
		}
		byKind := map[string]map[string]any{}
		for _, d := range documents(t, out) {
			byKind[d["kind"].(string)] = d
		}
		text, _ := at(byKind["ConfigMap"], "data", "config.yaml").(string)
		if _, err := config.Parse("c.yaml", strings.NewReader(text)); err != nil {
			t.Errorf("the chart's configuration: %v", err)
		}
		printed, err := deploy.Kubernetes(deploy.Workload{
			Form: deploy.DaemonSet, Namespace: "ww", Image: "weightwarden:latest", Root: root, Port: 9464, Models: []string{"/models/x"}, Config: []byte(text),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range documents(t, printed) {
			if d["kind"] == "DaemonSet" {
				same(t, d, byKind["DaemonSet"])
			}
		}
	}
}

// same compares the pods.
func same(t *testing.T, command, chart map[string]any) {
	t.Helper()
	pod := func(d map[string]any) any {
		spec := at(d, "spec", "template", "spec").(map[string]any)
		return spec
	}
	if d := cmp.Diff(pod(command), pod(chart)); d != "" {
		t.Errorf("pods (-command +chart):\n%s", d)
	}
}

// The dashboard asks only for numbers that the program has.
func TestDashboard(t *testing.T) {
	dashboard, err := os.ReadFile("../../deploy/grafana/weightwarden.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(dashboard, &doc); err != nil || len(doc.Panels) < 8 {
		t.Fatalf("%d panels, %v", len(doc.Panels), err)
	}
	source, err := os.ReadFile("../cli/watch_operate.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range doc.Panels {
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`weightwarden_\w+`).FindAllString(target.Expr, -1) {
				if !bytes.Contains(source, []byte(`"`+name+`"`)) {
					t.Errorf("panel %s asks for %s, which there is not", p.Title, name)
				}
			}
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %s asks for nothing", p.Title)
		}
	}
}
