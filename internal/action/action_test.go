package action_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
)

// plan returns a new plan with something in every field that Hash covers.
func plan() action.Plan {
	return action.Plan{
		Incident: "INC-20260301-AAAAAAAA", Action: action.Isolate, Model: "fraud", Target: "/srv/fraud",
		Observed: map[string]string{"root": "00ff"},
		Steps: []action.Step{{
			ID: "1", Driver: "directory", Kind: "move", Target: "/srv/fraud", Summary: "move it", Post: "is moved",
			Destroys: true, Params: json.RawMessage(`{"to": "/srv/q"}`), Undoes: "00/1",
			Inverse: &action.Step{ID: "1", Driver: "directory", Kind: "move", Target: "/srv/q"},
		}},
		Remarks: []string{"replicas are left alone"},
	}
}

// change sets v to something that it is not.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch p := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*p = json.RawMessage(`{"to":"/srv/other"}`)
	case **action.Step:
		*p = nil
	case *[]action.Step:
		*p = append(*p, action.Step{ID: "2"})
	case *[]string:
		*p = append(*p, "more")
	case *map[string]string:
		*p = map[string]string{"root": "00fe"}
	default:
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int:
			v.SetInt(v.Int() + 1)
		default:
			t.Fatalf("a field of type %s: teach this test to change it", v.Type())
		}
	}
}

// What people approve is the whole plan.
func TestHashCoversEveryField(t *testing.T) {
	parts := map[string]func(*action.Plan) reflect.Value{
		"plan":    func(p *action.Plan) reflect.Value { return reflect.ValueOf(p).Elem() },
		"step":    func(p *action.Plan) reflect.Value { return reflect.ValueOf(&p.Steps[0]).Elem() },
		"inverse": func(p *action.Plan) reflect.Value { return reflect.ValueOf(p.Steps[0].Inverse).Elem() },
	}
	for name, part := range parts {
		fields := reflect.TypeFor[action.Step]()
		if name == "plan" {
			fields = reflect.TypeFor[action.Plan]()
		}
		for n := range fields.NumField() {
			if name == "inverse" && fields.Field(n).Name == "Inverse" {
				continue // the inverse of an inverse is nil here already
			}
			t.Run(name+"_"+fields.Field(n).Name, func(t *testing.T) {
				changed := plan()
				change(t, part(&changed).Field(n))
				if changed.Hash() == plan().Hash() {
					t.Error("the change leaves the hash as it was")
				}
			})
		}
	}
}

func TestHashIsStable(t *testing.T) {
	// Approvals in logs name plans by hash: a change of how it is made voids them.
	if got, want := plan().Hash().Hex(), "573c0e16943e138da6dcf8be72d1117a2c1c29fd79e734a1216472001810f2cb"; got != want {
		t.Errorf("hash is %s, was %s", got, want)
	}
	spaced := plan()
	spaced.Steps[0].Params = json.RawMessage("{ \"to\" :\n\"/srv/q\"}")
	if spaced.Hash() != plan().Hash() {
		t.Error("white space in the parameters changes the hash")
	}
}

// A plan that was written to a log and read again is the plan that was approved.
func TestHashSurvivesTheLog(t *testing.T) {
	tests := map[string]func(*action.Plan){
		"plain":         func(*action.Plan) {},
		"not_utf8":      func(p *action.Plan) { p.Target = "/srv/\xff"; p.Observed["link \xfe"] = "\xff" },
		"replacement":   func(p *action.Plan) { p.Target = "/srv/\ufffd" },
		"markup":        func(p *action.Plan) { p.Target = "<&>\u2028"; p.Steps[0].Params = json.RawMessage(`"<&>"`) },
		"nothing_in_it": func(p *action.Plan) { *p = action.Plan{} },
		"empty_lists": func(p *action.Plan) {
			p.Observed, p.Steps, p.Remarks = map[string]string{}, []action.Step{}, []string{}
		},
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			before := plan()
			edit(&before)
			data, err := json.Marshal(before)
			if err != nil {
				t.Fatal(err)
			}
			var after action.Plan
			if err := json.Unmarshal(data, &after); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(before.Hash().Hex(), after.Hash().Hex()); d != "" {
				t.Error(d)
			}
		})
	}
}
