package playbook_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/playbook"
)

const small = `name: small
created: "2026-11-01T00:00:00Z"
modified: "2026-11-01T00:00:00Z"
steps:
  - id: a
    kind: manual
    title: A
    reason: because
  - id: b
    kind: preserve
    title: B
    reason: because
    after: [a]
    gates: [G1]
    atlas: [AML.T0018]
gates:
  - {id: G1, rule: declared}
`

func load(text string) (playbook.Playbook, error) {
	return playbook.Load("own.yaml", strings.NewReader(text), playbook.Limits{})
}

func TestLoad(t *testing.T) {
	p, err := load(small)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != 2 || p.Steps[1].Number != 1 || p.Steps[1].Kind != playbook.Preserve {
		t.Errorf("steps are %+v", p.Steps)
	}
	if _, err := load(playbook.BuiltIn()); err != nil {
		t.Errorf("the built-in playbook, exported, does not load: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"unknown_kind", "kind: preserve", "kind: explode", `line 9: step "b": no kind "explode"`},
		{"no_kind", "    kind: preserve\n", "", `line 9: step "b": kind`},
		{"unknown_key", "    title: B", "    titel: B", "titel"},
		{"missing_step", "after: [a]", "after: [z]", `line 9: step "b": names step "z"`},
		{"missing_gate", "gates: [G1]", "gates: [G9]", `line 9: step "b": names gate "G9"`},
		{"cycle", "    reason: because\n  - id: b", "    reason: because\n    after: [b]\n  - id: b", "line 5: step a: waits for itself"},
		{"waits_for_itself", "after: [a]", "after: [b]", "line 9: step b: waits for itself"},
		{"parallel_and_after", "after: [a]", "after: [a]\n    parallel: [a]", "cannot run in parallel"},
		{"unknown_technique", "AML.T0018", "AML.T9999", "AML.T9999"},
		{"id_twice", "id: b", "id: a", "given twice"},
		{"hostile_id", "id: b", `id: "b\e[2J"`, `"b\x1b[2J"`},
		{"no_steps", small[strings.Index(small, "steps:"):strings.Index(small, "gates:\n")], "", "no steps"},
		{"no_time", `created: "2026-11-01T00:00:00Z"`, "created: yesterday", "yesterday"},
		{"too_large", "name: small", "name: small #" + strings.Repeat("x", 1<<20), "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(small, tt.old) {
				t.Fatalf("%q is not in the playbook", tt.old)
			}
			_, err := load(strings.Replace(small, tt.old, tt.new, 1))
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want invalid with %q", err, tt.want)
			}
		})
	}
}

func TestStandings(t *testing.T) {
	p := playbook.Default()
	inc := &incident.Incident{Commander: "ana", Models: []string{"m"}, Facts: map[string]incident.StatedFact{
		"step_freeze": {Fact: incident.Fact{Name: "step_freeze", Value: "done"}, By: "bo"},
	}}
	got := map[string]playbook.Standing{}
	for _, s := range p.Standings(inc) {
		got[s.ID] = s
	}
	tests := []struct {
		id      string
		status  playbook.Status
		because string
	}{
		{"declare", playbook.Done, "a commander is named"},
		{"freeze", playbook.Done, "stated by bo"},
		{"cut_traffic", playbook.Allowed, "stops the harm"},
		{"quarantine", playbook.Waiting, "not before preserve (Preserve the evidence"},
		{"restore", playbook.Waiting, "not before preserve"},
		{"review", playbook.Waiting, "not before restore"},
	}
	for _, tt := range tests {
		if s := got[tt.id]; s.Status != tt.status || !strings.Contains(s.Because, tt.because) {
			t.Errorf("%s is %s because %q, want %s because %q", tt.id, s.Status, s.Because, tt.status, tt.because)
		}
	}
	inc.State = incident.Done
	for _, s := range p.Standings(inc) {
		if s.Status == playbook.Allowed {
			t.Errorf("%s is allowed although the incident is closed", s.ID)
		}
	}
}

func TestAdvise(t *testing.T) {
	tests := []struct {
		name   string
		inc    incident.Incident
		urgent []playbook.Kind
		want   string
	}{
		{"just_opened", incident.Incident{Commander: "ana", Models: []string{"m"}}, nil, "freeze"},
		{"alert_is_pressing", incident.Incident{Commander: "ana", Models: []string{"m"}}, []playbook.Kind{playbook.Notify}, "notify"},
		{"pressing_but_not_allowed", incident.Incident{Models: []string{"m"}}, []playbook.Kind{playbook.Notify}, "declare"},
		{"zero", incident.Incident{}, nil, "declare"},
		{"closed", incident.Incident{State: incident.Done}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := playbook.Default()
			a := p.Advise(&tt.inc, nil, tt.urgent...)
			got, n := "", len(a.Also)+len(a.Others)
			if a.Next != nil {
				got, n = a.Next.ID, n+1
			}
			if got != tt.want || n != len(p.Steps) {
				t.Errorf("next is %q of %d steps, want %q of %d", got, n, tt.want, len(p.Steps))
			}
		})
	}
}

// A step that a gate would refuse is not the next one; that a second person
// has to agree is no such refusal.
func TestAdviceKnowsGates(t *testing.T) {
	inc := incident.Incident{Commander: "ana", Models: []string{"m"}, Facts: map[string]incident.StatedFact{}}
	p := playbook.Default()
	first := p.Advise(&inc, nil).Next
	second := []playbook.Refusal{{Gate: "G6", Reason: "it needs 1 approval"}}
	if a := p.Advise(&inc, playbook.Blocked{first.Kind: second}); a.Next.ID != first.ID || !strings.Contains(a.Next.Because, "gate G6: it needs 1 approval") {
		t.Errorf("next is %s: %s", a.Next.ID, a.Next.Because)
	}
	hard := append(second, playbook.Refusal{Gate: "G7", Reason: "a place is unknown", Hint: "look"}, playbook.Refusal{Gate: "G11", Reason: "too much", Hint: "wait"})
	a := p.Advise(&inc, playbook.Blocked{first.Kind: hard})
	if a.Next.ID == first.ID || slices.Contains(p.Next(&inc, playbook.Blocked{first.Kind: hard}), first.ID) {
		t.Errorf("%s is next although gates refuse it", first.ID)
	}
	at := slices.IndexFunc(a.Others, func(s playbook.Standing) bool { return s.ID == first.ID })
	if at < 0 || a.Others[at].Status != playbook.Refused || a.Others[at].Because == "" ||
		!strings.Contains(a.Others[at].Because, "gate G7: a place is unknown; look; gate G11: too much; wait") {
		t.Errorf("others are %+v", a.Others)
	}
}

// TestCACAO: the export is what the published schemas describe, the same
// bytes each time, and leads through every step in an order that holds.
func TestCACAO(t *testing.T) {
	for name, text := range map[string]string{"built_in": playbook.BuiltIn(), "small": small} {
		t.Run(name, func(t *testing.T) {
			p, err := load(text)
			if err != nil {
				t.Fatal(err)
			}
			var first, second bytes.Buffer
			if err := playbook.WriteCACAO(&first, p); err != nil {
				t.Fatal(err)
			}
			if err := playbook.WriteCACAO(&second, p); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first.String(), second.String()); diff != "" {
				t.Errorf("the second export differs:\n%s", diff)
			}
			walk(t, first.Bytes(), p)
			validate(t, first.Bytes())
		})
	}
}

// walk follows the workflow and checks that no step comes before one that it
// waits for.
func walk(t *testing.T, doc []byte, p playbook.Playbook) {
	t.Helper()
	type step struct {
		Type string   `json:"type"`
		Name string   `json:"name"`
		Next []string `json:"next_steps"`
		Then string   `json:"on_completion"`
	}
	var c struct {
		Start    string          `json:"workflow_start"`
		Workflow map[string]step `json:"workflow"`
	}
	if err := json.Unmarshal(doc, &c); err != nil {
		t.Fatal(err)
	}
	passed := map[string]bool{}
	pass := func(names ...string) {
		for _, name := range names {
			for _, s := range p.Steps {
				for _, after := range s.After {
					before, _ := p.Step(after)
					if s.Title == name && !passed[before.Title] {
						t.Errorf("%q comes before %q", name, before.Title)
					}
				}
			}
		}
		for _, name := range names {
			passed[name] = true
		}
	}
	for id := c.Start; c.Workflow[id].Type != "end"; id = c.Workflow[id].Then {
		switch s := c.Workflow[id]; s.Type {
		case "start":
		case "action":
			pass(s.Name)
		case "parallel":
			var names []string
			for _, branch := range s.Next {
				names = append(names, c.Workflow[branch].Name)
			}
			pass(names...)
		default:
			t.Fatalf("step %s of type %q", id, s.Type)
		}
	}
	if len(passed) != len(p.Steps) {
		t.Errorf("%d of %d steps are in the workflow", len(passed), len(p.Steps))
	}
}

// schemas returns the folder of published schemas. The test is skipped where
// there is no shared data at all; where there is some, and it was named or all
// tests are to run, schemas that are missing are a failure.
func schemas(t *testing.T, folder string) string {
	t.Helper()
	shared := os.Getenv("WEIGHTWARDEN_SHARED")
	must := shared != "" || os.Getenv("WEIGHTWARDEN_TEST_ALL") != ""
	if shared == "" {
		shared = "../../../shared"
		if _, err := os.Stat(shared); err != nil {
			t.Skipf("no shared data: set WEIGHTWARDEN_SHARED: %v", err)
		}
	}
	dir := filepath.Join(shared, "vectors", "schemas", folder)
	if _, err := os.Stat(dir); err != nil {
		if must {
			t.Fatalf("the shared data has no schemas: %v", err)
		}
		t.Skipf("no schemas to validate against: %v", err)
	}
	return dir
}

// validate checks the document, each step and each command by its own schema.
func validate(t *testing.T, doc []byte) {
	t.Helper()
	const base = "https://raw.githubusercontent.com/oasis-open/cacao-json-schemas/main/schemas/"
	dir := filepath.Join(schemas(t, "cacao-2.0"), "schemas")
	c := jsonschema.NewCompiler()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return c.AddResource(base+filepath.ToSlash(rel), schema)
	})
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	check := func(schema string, v any) {
		s, err := c.Compile(base + schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
	}
	check("playbook.json", value)
	for _, step := range value.(map[string]any)["workflow"].(map[string]any) {
		s := step.(map[string]any)
		check("workflows/"+s["type"].(string)+".json", s)
		if commands, ok := s["commands"].([]any); ok {
			for _, command := range commands {
				check("commands/manual.json", command)
			}
		}
	}
}

// FuzzLoad: whatever loads is valid, and its export can be walked to the end.
func FuzzLoad(f *testing.F) {
	f.Add(small)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := load(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("not an invalid fault: %v", err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Errorf("loads and is not valid: %v", err)
		}
		if n := len(p.Standings(&incident.Incident{})); n != len(p.Steps) {
			t.Errorf("%d standings for %d steps", n, len(p.Steps))
		}
		if err := playbook.WriteCACAO(&bytes.Buffer{}, p); err != nil {
			t.Error(err)
		}
	})
}
