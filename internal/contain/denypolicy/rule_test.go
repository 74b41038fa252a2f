package denypolicy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/cluster"
)

func workload(t *testing.T, spec string) cluster.Workload {
	t.Helper()
	var o map[string]any
	text := `{"metadata":{"name":"x","namespace":"ml","uid":"u"},"spec":{"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},"spec":` + spec + `}}}`
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	n := cluster.Node{Ref: cluster.Deployments.In("ml", "x"), Object: o}
	return cluster.Workload{Root: n, Control: n}
}

func TestWhatIsDenied(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	server := `{"name":"s","image":"r/vllm@` + digest + `"}`
	tests := map[string]struct {
		spec    string
		sources []string
		want    Rule
	}{
		"the_image_where_nothing_else_carries_it": {`{"containers":[` + server + `],"initContainers":[{"image":"r/init:1"}]}`, nil, Rule{Digests: []string{digest}}},
		"a_tag_by_its_name":                       {`{"containers":[{"image":"r/x:1"}]}`, nil, Rule{Images: []string{"r/x:1"}}},
		"a_mounted_image_and_not_the_server": {
			`{"containers":[` + server + `],"volumes":[{"image":{"reference":"r/m@sha256:22"}}]}`, nil, Rule{Digests: []string{"sha256:22"}},
		},
		"an_address_and_not_the_server": {`{"containers":[{"image":"r/x:1","args":["s3://b/m"]}]}`, nil, Rule{URIs: []string{"s3://b/m"}}},
		"what_the_operator_names":       {`{"containers":[{"image":"r/x:1","args":["s3://b/m"]}]}`, []string{"r/x:1"}, Rule{Images: []string{"r/x:1"}}},
		"by_labels_when_from_a_volume": {
			`{"containers":[` + server + `],"volumes":[{"persistentVolumeClaim":{"claimName":"c"}}]}`, nil,
			Rule{Workloads: []Labelled{{"ml", map[string]string{"app": "x"}}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			scene := &cluster.Scene{Selector: cluster.Selector{Model: "x", Sources: tt.sources}, Workloads: []cluster.Workload{workload(t, tt.spec)}}
			if d := cmp.Diff(tt.want, NewRule(scene)); d != "" {
				t.Error(d)
			}
		})
	}
}

// What an attacker wrote into an object stays a text in the policy.
func TestExpressionsAreQuoted(t *testing.T) {
	hostile := `x"] || true || i in ["` + "\n\x00\u202e"
	for _, r := range []Rule{
		{Images: []string{hostile}},
		{URIs: []string{hostile}},
		{Workloads: []Labelled{{hostile, map[string]string{hostile: hostile}}}},
	} {
		if e := r.expression(); strings.Contains(e, `x"]`) || strings.ContainsAny(e, "\x00\u202e") {
			t.Errorf("not quoted: %s", e)
		}
	}
}

func TestTooManyReferences(t *testing.T) {
	r := Rule{Images: make([]string, maxLiterals+1)}
	if r.check() == nil {
		t.Error("accepted")
	}
}

// The policy looks at pods that are created, and at nothing else: what runs
// can be changed, scaled and ended.
func TestPolicyMatchesCreationOnly(t *testing.T) {
	rules := params{Policy: "p", Incident: "INC"}.policy().Items("/spec/matchConstraints/resourceRules")
	want := []cluster.Object{{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"}}}
	if d := cmp.Diff(want, rules); d != "" {
		t.Error(d)
	}
}
