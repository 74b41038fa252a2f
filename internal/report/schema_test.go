package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weightwarden/weightwarden/internal/report"
)

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

// compiler knows every schema below dir by its $id.
func compiler(t *testing.T, dir string) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
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
		id, _ := schema.(map[string]any)["$id"].(string)
		if id == "" {
			id, _ = schema.(map[string]any)["id"].(string)
		}
		id, _, _ = strings.Cut(strings.TrimSuffix(id, "#"), "?")
		err = c.AddResource(id, schema)
		if _, twice := errors.AsType[*jsonschema.ResourceExistsError](err); twice {
			return nil // a stricter variant with the same id
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.AssertFormat()
	return c
}

func check(t *testing.T, c *jsonschema.Compiler, schema string, value any) {
	t.Helper()
	s, err := c.Compile(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(value); err != nil {
		t.Errorf("%s: %v", schema, err)
	}
}

func parsed(t *testing.T, doc string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCSAFSchema(t *testing.T) {
	c := compiler(t, filepath.Join(schemas(t, "csaf-2.0"), "csaf_2.0"))
	for name, it := range cases() {
		t.Run(name, func(t *testing.T) {
			check(t, c, "https://docs.oasis-open.org/csaf/csaf/v2.0/csaf_json_schema.json", parsed(t, written(t, report.WriteCSAF, it)))
		})
	}
}

func TestCycloneDXSchema(t *testing.T) {
	c := compiler(t, filepath.Join(schemas(t, "cyclonedx"), "schema"))
	for name, it := range cases() {
		t.Run(name, func(t *testing.T) {
			check(t, c, "http://cyclonedx.org/schema/bom-1.6.schema.json", parsed(t, written(t, report.WriteCycloneDX, it)))
		})
	}
}

// TestSTIXSchema checks the bundle, and each object by the schema of its type.
func TestSTIXSchema(t *testing.T) {
	const base = "http://raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/"
	c := compiler(t, filepath.Join(schemas(t, "stix-2.1"), "schemas"))
	folders := map[string]string{"relationship": "sros", "file": "observables"}
	for name, it := range cases() {
		t.Run(name, func(t *testing.T) {
			bundle := parsed(t, written(t, report.WriteSTIX, it))
			check(t, c, base+"common/bundle.json", bundle)
			ids := map[string]bool{}
			for _, o := range bundle.(map[string]any)["objects"].([]any) {
				kind, id := o.(map[string]any)["type"].(string), o.(map[string]any)["id"].(string)
				if ids[id] {
					t.Errorf("%s is there twice", id)
				}
				ids[id] = true
				folder, ok := folders[kind]
				if !ok {
					folder = "sdos"
				}
				check(t, c, base+folder+"/"+kind+".json", o)
			}
		})
	}
}

// TestOCSFSchema checks each event by the classes and objects of the OCSF
// schema: no attribute that is not there, none missing that is required, every
// enumerated value one of those listed, types and constraints kept.
func TestOCSFSchema(t *testing.T) {
	o := &ocsf{t: t, dir: schemas(t, "ocsf")}
	o.load("dictionary.json", &o.dictionary)
	classes := map[float64]string{
		2004: "events/findings/detection_finding.json", 2005: "events/findings/incident_finding.json", 7001: "events/remediation/remediation_activity.json",
	}
	seen := map[float64]int{}
	t.Cleanup(func() {
		if len(seen) != len(classes) {
			t.Errorf("events by class: %v; every class has to be among them", seen)
		}
	})
	for name, it := range cases() {
		t.Run(name, func(t *testing.T) {
			o.t = t
			for line := range strings.Lines(written(t, report.WriteOCSF, it)) {
				var event map[string]any
				if err := json.Unmarshal([]byte(line), &event); err != nil {
					t.Fatal(err)
				}
				class, _ := event["class_uid"].(float64)
				if classes[class] == "" || event["type_uid"] != class*100+event["activity_id"].(float64) || event["category_uid"] != float64(int(class)/1000) {
					t.Fatalf("class %v, type %v", class, event["type_uid"])
				}
				seen[class]++
				o.check(fmt.Sprint(class), o.resolve(classes[class]), event)
			}
		})
	}
}

type ocsf struct {
	t          *testing.T
	dir        string
	dictionary ocsfFile
}

type ocsfFile struct {
	Extends     string                     `json:"extends"`
	Attributes  map[string]json.RawMessage `json:"attributes"`
	Constraints map[string][]string        `json:"constraints"`
}

type ocsfAttribute struct {
	Type        string                    `json:"type"`
	Object      string                    `json:"object_type"`
	Array       bool                      `json:"is_array"`
	Requirement string                    `json:"requirement"`
	Enum        map[string]map[string]any `json:"enum"`
}

type ocsfType struct {
	attributes  map[string]ocsfAttribute
	constraints map[string][]string
}

func (o *ocsf) load(name string, v any) {
	o.t.Helper()
	data, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		o.t.Fatal(name, err)
	}
}

// resolve follows extends and $include, and fills in from the dictionary.
func (o *ocsf) resolve(name string) ocsfType {
	var f ocsfFile
	o.load(name, &f)
	out := ocsfType{map[string]ocsfAttribute{}, f.Constraints}
	if f.Extends != "" {
		folder := filepath.Dir(name)
		if _, err := os.Stat(filepath.Join(o.dir, folder, f.Extends+".json")); err != nil {
			folder = filepath.Dir(folder)
		}
		parent := o.resolve(filepath.Join(folder, f.Extends+".json"))
		out.attributes = parent.attributes
		if out.constraints == nil {
			out.constraints = parent.constraints
		}
	}
	if include, ok := f.Attributes["$include"]; ok {
		var names []string
		if err := json.Unmarshal(include, &names); err != nil {
			o.t.Fatal(err)
		}
		for _, n := range names {
			for key, a := range o.resolve(n).attributes {
				a.Requirement = "optional" // profiles are not switched on
				out.attributes[key] = a
			}
		}
	}
	for key, raw := range f.Attributes {
		if key == "$include" {
			continue
		}
		a := out.attributes[key]
		if base, ok := o.dictionary.Attributes[key]; ok && a.Type == "" {
			if err := json.Unmarshal(base, &a); err != nil {
				o.t.Fatal(err)
			}
		}
		enum := a.Enum
		a.Enum = nil
		if err := json.Unmarshal(raw, &a); err != nil {
			o.t.Fatal(err)
		}
		merged := map[string]map[string]any{}
		for _, m := range []map[string]map[string]any{enum, a.Enum} {
			maps.Copy(merged, m)
		}
		a.Enum = merged
		out.attributes[key] = a
	}
	return out
}

func (o *ocsf) check(at string, kind ocsfType, value map[string]any) {
	for name, a := range kind.attributes {
		if _, ok := value[name]; !ok && a.Requirement == "required" {
			o.t.Errorf("%s: %s is required", at, name)
		}
	}
	for _, names := range [][]string{kind.constraints["at_least_one"]} {
		if len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return value[n] != nil }) {
			o.t.Errorf("%s: at least one of %s", at, strings.Join(names, ", "))
		}
	}
	for name, v := range value {
		a, ok := kind.attributes[name]
		if !ok {
			o.t.Errorf("%s: there is no attribute %s", at, name)
			continue
		}
		list := []any{v}
		if got, isList := v.([]any); a.Array != isList {
			o.t.Errorf("%s.%s: is a list: %v, want %v", at, name, isList, a.Array)
		} else if isList {
			list = got
		}
		for _, item := range list {
			o.checkOne(at+"."+name, a, item)
		}
	}
}

func (o *ocsf) checkOne(at string, a ocsfAttribute, v any) {
	// the schema server fills these two in from the class; the caller has
	// compared them
	if computed := strings.HasSuffix(at, ".class_uid") || strings.HasSuffix(at, ".category_uid"); len(a.Enum) > 0 && !computed {
		if _, ok := a.Enum[fmt.Sprint(v)]; !ok {
			o.t.Errorf("%s: %v is none of the values listed", at, v)
		}
	}
	object := a.Object
	if _, err := os.Stat(filepath.Join(o.dir, "objects", a.Type+".json")); err == nil && object == "" {
		object = a.Type
	}
	switch value := v.(type) {
	case map[string]any:
		if object != "" && object != "object" {
			o.check(at, o.resolve("objects/"+object+".json"), value)
		}
	case string:
		if strings.HasPrefix(a.Type, "integer") || strings.HasPrefix(a.Type, "long") || strings.HasPrefix(a.Type, "timestamp") || object != "" {
			o.t.Errorf("%s: text %q for a value of type %s", at, value, a.Type)
		}
	case float64:
		if !slices.Contains([]string{"integer_t", "long_t", "float_t", "timestamp_t", "port_t", "json_t"}, a.Type) {
			o.t.Errorf("%s: number %v for a value of type %s", at, value, a.Type)
		}
	}
}
