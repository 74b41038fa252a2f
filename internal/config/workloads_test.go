package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/config"
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
		"empty_version":    {"  - {model: fraud, versions: {v1: {}}}\n", "needs images, volume or uri"},
		"bad_version_name": {"  - {model: fraud, versions: {'../v1': {uri: 'x'}}}\n", "workloads[0].versions"},
		"bad_container":    {"  - {model: fraud, versions: {v1: {images: {'S S': x}}}}\n", "is no name of a container"},
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
