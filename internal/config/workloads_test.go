package config_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

const oneModel = "models: [{id: fraud, path: /m}]\nworkloads:\n"

var pinned = "registry.example/fraud@sha256:" + strings.Repeat("a", 64)

func TestWorkloads(t *testing.T) {
	c, err := config.Parse("c.yaml", strings.NewReader(oneModel+`
  - model: fraud
    namespaces: [ml, batch]
    labels: {model: fraud, app.kubernetes.io/part-of: Scoring}
    sources: ["s3://bucket/fraud"]
    versions:
      fraud-v1: {images: {server: "`+pinned+`"}}
      fraud-v0: {volume: "`+pinned+`", uri: "s3://bucket/fraud-v0"}
`))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := c.Served("fraud")
	want := config.Workload{
		Model: "fraud", Namespaces: []string{"ml", "batch"}, Labels: map[string]string{"model": "fraud", "app.kubernetes.io/part-of": "Scoring"},
		Sources:  []string{"s3://bucket/fraud"},
		Versions: map[string]config.Served{"fraud-v1": {Images: map[string]string{"server": pinned}}, "fraud-v0": {Volume: pinned, URI: "s3://bucket/fraud-v0"}},
	}
	if d := cmp.Diff(want, got); d != "" || !ok {
		t.Error(d)
	}
	if _, ok := c.Served("other"); ok {
		t.Error("a model without workloads has some")
	}
}

var nodeKey = evidence.SigningKey{Name: "weightwarden/n", Key: ed25519.NewKeyFromSeed(make([]byte, 32))}.Public().String()

func TestWhoseVerdictsCount(t *testing.T) {
	c, err := config.Parse("c.yaml", strings.NewReader(oneModel+`
  - model: fraud
    mounted: /mnt/models
    agents: [{node: node-1.example, key: "`+nodeKey+`"}, {key: "`+nodeKey+`"}]
    versions: {v1: {in_place: true}, v2: {claim: fraud-v2}}
cluster:
  node: node-1.example
  namespace: security
  models: [{model: fraud, namespace: ml, claim: models, inside: a/b}]
`))
	if err != nil {
		t.Fatal(err)
	}
	w, _ := c.Served("fraud")
	if w.Mounted != "/mnt/models" || len(w.Agents) != 2 || w.Agents[0].Node != "node-1.example" || w.Agents[1].Key.String() != nodeKey ||
		!w.Versions["v1"].InPlace || w.Versions["v2"].Claim != "fraud-v2" {
		t.Errorf("%+v", w)
	}
	want := config.Cluster{Node: "node-1.example", Namespace: "security", Models: []config.Located{
		{Model: "fraud", Namespace: "ml", Place: verdict.Place{Claim: "ml/models", Inside: "a/b"}},
	}}
	if d := cmp.Diff(want, c.Cluster); d != "" {
		t.Error(d)
	}
}

func TestClusterMistakes(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"unknown_model": {"models: [{model: other, namespace: ml, claim: c}]", "no model other under models"},
		"twice":         {"models: [{model: fraud, namespace: ml, claim: c}, {model: fraud, namespace: ml, claim: d}]", "told about by cluster.models[0] already"},
		"no_namespace":  {"models: [{model: fraud, claim: c}]", "needs model and namespace"},
		"no_place":      {"models: [{model: fraud, namespace: ml}]", "one of claim, host_path and volume"},
		"two_places":    {"models: [{model: fraud, namespace: ml, claim: c, host_path: /m}]", "one of claim, host_path and volume"},
		"leaves":        {"models: [{model: fraud, namespace: ml, claim: c, inside: ../x}]", "inside"},
		"relative":      {"models: [{model: fraud, namespace: ml, host_path: m}]", "want an absolute path"},
		"node":          {"node: Node_1", "is no name of a node"},
		"unknown_key":   {"nodes: x", "unknown key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("c.yaml", strings.NewReader("models: [{id: fraud, path: /m}]\ncluster: {"+tt.in+"}\n"))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "c.yaml:2") {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestWorkloadMistakes(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"no_model":         {"  - namespaces: [ml]\n", "workloads[0]: model is missing"},
		"unknown_model":    {"  - model: other\n", "workloads[0].model: no model other under models"},
		"twice":            {"  - model: fraud\n  - model: fraud\n", "workloads[1].model: the workloads of fraud are in line 3 already"},
		"unknown_key":      {"  - {model: fraud, namespace: ml}\n", "unknown key"},
		"bad_namespace":    {"  - {model: fraud, namespaces: [ML]}\n", "ML is no name in a cluster"},
		"bad_label":        {"  - {model: fraud, labels: {a: 'b c'}}\n", "is no label"},
		"no_labels":        {"  - {model: fraud, labels: {}}\n", "would select everything"},
		"empty_source":     {"  - {model: fraud, sources: ['']}\n", "workloads[0].sources[0]: is empty"},
		"tag":              {"  - {model: fraud, versions: {v1: {images: {s: 'r/f:1'}}}}\n", "want an image by digest"},
		"tag_of_a_volume":  {"  - {model: fraud, versions: {v1: {volume: 'r/f:1'}}}\n", "want an image by digest"},
		"empty_version":    {"  - {model: fraud, versions: {v1: {}}}\n", "needs images, volume, uri, claim or in_place"},
		"bad_version_name": {"  - {model: fraud, versions: {'../v1': {uri: 'x'}}}\n", "workloads[0].versions"},
		"bad_container":    {"  - {model: fraud, versions: {v1: {images: {'S S': x}}}}\n", "is no name of a container"},
		"claim_untold":     {"  - {model: fraud, versions: {v1: {claim: models}}}\n", "needs mounted and agents"},
		"two_places":       {"  - {model: fraud, versions: {v1: {claim: models, in_place: true}}}\n", "give one"},
		"mounted":          {"  - {model: fraud, mounted: models}\n", "want an absolute path"},
		"no_key":           {"  - {model: fraud, agents: [{node: n}]}\n", "agents[0]: key is missing"},
		"bad_key":          {"  - {model: fraud, agents: [{key: abc}]}\n", "state.pub"},
		"bad_node":         {"  - {model: fraud, agents: [{node: 'a b', key: '" + nodeKey + "'}]}\n", "is no name of a node"},
		"key_twice":        {"  - {model: fraud, agents: [{key: '" + nodeKey + "'}, {key: '" + nodeKey + "'}]}\n", "given twice"},
		"no_list":          {"  model: fraud\n", "want a list"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("c.yaml", strings.NewReader(oneModel+tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "c.yaml:") {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
