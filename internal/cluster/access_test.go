package cluster_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// reviewer is an API that allows everything but patching services in "b".
type reviewer struct {
	cluster.API
	asked atomic.Int32
	away  bool
}

func (r *reviewer) Create(_ context.Context, _ cluster.Kind, o cluster.Object, _ bool) (cluster.Object, error) {
	r.asked.Add(1)
	if r.away {
		return nil, fault.New(fault.Incomplete, "away")
	}
	const at = "/spec/resourceAttributes/"
	no := o.Text(at+"resource") == "services" && o.Text(at+"namespace") == "b" && o.Text(at+"verb") == "patch"
	return cluster.Object{"status": map[string]any{"allowed": !no}}, nil
}

// Each thing is asked once, however many steps need it, and what is missing is
// named with the role that has it.
func TestWhatIsMissingIsNamed(t *testing.T) {
	api := &reviewer{}
	q := cluster.Questions{}
	for range 3 {
		q.Add([]cluster.Need{
			{Role: cluster.Contain, Kind: cluster.Services, Verbs: []string{"get", "patch"}},
			{Role: cluster.Platform, Kind: cluster.AdmissionPolicies, Verbs: []string{"create"}},
		}, []string{"a", "b"})
	}
	missing, err := q.Missing(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{`patch services in namespace "b" (role contain)`}, missing); d != "" {
		t.Error(d)
	}
	if n := api.asked.Load(); n != 5 { // two verbs in two namespaces, and one of the whole cluster
		t.Errorf("asked %d times", n)
	}
	// That it cannot be asked is not that it is allowed.
	if _, err := q.Missing(t.Context(), &reviewer{away: true}); err == nil {
		t.Error("nothing was answered, and nothing is said about that")
	}
}

func TestEditOfStep(t *testing.T) {
	edit := cluster.Edit{Object: cluster.Services.In("ml", "fraud"), UID: "u", Fields: []cluster.Change{{Path: "/spec/x", After: cluster.Encode("y")}}}
	s := action.Step{Params: cluster.Encode(map[string]any{"cluster": "c", "edit": edit})}
	got, ok := cluster.EditOf(s)
	if d := cmp.Diff(edit, got); !ok || d != "" {
		t.Error(d)
	}
	for _, params := range []string{"", "{}", `{"edit":null}`, "nonsense"} {
		if e, ok := cluster.EditOf(action.Step{Params: []byte(params)}); ok {
			t.Errorf("%q: %+v", params, e)
		}
	}
}
