package metrics_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/metrics"
)

func TestPage(t *testing.T) {
	var p metrics.Page
	p.Gauge("a", "A\\b\nc.", metrics.One(1.5))
	p.Counter("b_total", "B.", []metrics.Sample{
		{Labels: []string{"model", "x\"\n\\\xff", "verdict", "clean"}, Value: 1e21},
		{Labels: []string{"model", "", "verdict", "error"}},
	})
	p.Gauge("none", "Nothing.", nil)
	want := `# HELP a A\\b\nc.
# TYPE a gauge
a 1.5
# HELP b_total B.
# TYPE b_total counter
b_total{model="x\"\n\\` + "\ufffd" + `",verdict="clean"} 1e+21
b_total{model="",verdict="error"} 0
# HELP none Nothing.
# TYPE none gauge
`
	var got strings.Builder
	if _, err := p.WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
}
