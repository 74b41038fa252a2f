package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/cluster"
)

func TestMatches(t *testing.T) {
	labels := map[string]string{"app": "x", "tier": "web"}
	tests := map[string]struct {
		selector string
		want     bool
	}{
		"equal":                {`{"matchLabels":{"app":"x"}}`, true},
		"other_value":          {`{"matchLabels":{"app":"y"}}`, false},
		"missing":              {`{"matchLabels":{"app":"x","z":""}}`, false},
		"empty_is_everything":  {`{}`, true},
		"in":                   {`{"matchExpressions":[{"key":"tier","operator":"In","values":["web","db"]}]}`, true},
		"not_in":               {`{"matchExpressions":[{"key":"tier","operator":"NotIn","values":["web"]}]}`, false},
		"not_in_what_is_there": {`{"matchExpressions":[{"key":"none","operator":"NotIn","values":["web"]}]}`, true},
		"exists":               {`{"matchExpressions":[{"key":"none","operator":"Exists"}]}`, false},
		"does_not_exist":       {`{"matchExpressions":[{"key":"none","operator":"DoesNotExist"}]}`, true},
		"both_must_match":      {`{"matchLabels":{"app":"x"},"matchExpressions":[{"key":"none","operator":"Exists"}]}`, false},
		"not_understood":       {`{"matchExpressions":[{"key":"app","operator":"Like"}]}`, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := cluster.Matches(object(t, tt.selector), labels); got != tt.want {
				t.Errorf("matches: %t", got)
			}
		})
	}
}

func TestSources(t *testing.T) {
	spec := object(t, `{"containers":[{"name":"s","image":"r/s@sha256:11","args":["--model","s3://b/m"],"env":[{"name":"U","value":"hf://a/b"},{"name":"V","value":"x"}]}],
 "initContainers":[{"name":"i","image":"r/i:1","command":["fetch","gs://b/m"]}],
 "volumes":[{"name":"m","image":{"reference":"r/m@sha256:22"}},{"name":"e","emptyDir":{}}]}`)
	want := []cluster.Source{
		{Path: "/containers/0/image", Kind: cluster.SourceImage, Value: "r/s@sha256:11"},
		{Path: "/containers/0/args/1", Kind: cluster.SourceURI, Value: "s3://b/m"},
		{Path: "/containers/0/env/0/value", Kind: cluster.SourceURI, Value: "hf://a/b"},
		{Path: "/initContainers/0/image", Kind: cluster.SourceImage, Value: "r/i:1"},
		{Path: "/initContainers/0/command/1", Kind: cluster.SourceURI, Value: "gs://b/m"},
		{Path: "/volumes/0/image/reference", Kind: cluster.SourceVolume, Value: "r/m@sha256:22"},
	}
	if d := cmp.Diff(want, cluster.Sources(spec)); d != "" {
		t.Error(d)
	}
	for _, s := range want {
		if spec.Text(s.Path) != s.Value {
			t.Errorf("%s is %q", s.Path, spec.Text(s.Path))
		}
	}
}

func TestNames(t *testing.T) {
	for want, yes := range map[string]bool{"r/a:1": true, "r/a": false, "sha256:11": false} {
		if cluster.Names("r/a:1", want) != yes {
			t.Errorf("r/a:1 names %s: %t", want, !yes)
		}
	}
	if !cluster.Names("other/a@sha256:11", "sha256:11") || cluster.Names("a@sha256:112", "sha256:11") {
		t.Error("digests are compared whole, wherever the image is")
	}
}
