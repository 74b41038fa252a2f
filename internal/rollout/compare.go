package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/cluster"
)

// counted are the fields that the API itself writes.
var counted = []string{
	"status", "metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "metadata.creationTimestamp", "metadata.uid",
	"metadata.annotations[deprecated.daemonset.template.generation]",
}

// compare returns the fields in which two states of an object differ, by
// their paths. Items of lists are told apart by their names where they have
// some. What a ConfigMap holds is not shown: it could be a secret.
func compare(before, after cluster.Object) (out []Field) {
	w := walker{hidden: map[bool]string{true: "data"}[after.Text("/kind") == "ConfigMap"]}
	w.walk("", map[string]any(before), map[string]any(after))
	return w.fields
}

type walker struct {
	hidden string
	fields []Field
}

func (w *walker) walk(path string, before, after any) {
	if slices.Contains(counted, path) || reflect.DeepEqual(before, after) {
		return
	}
	b, a := entries(before), entries(after)
	if b == nil || a == nil {
		hide := w.hidden != "" && strings.HasPrefix(path, w.hidden)
		w.fields = append(w.fields, Field{path, shown(before, hide), shown(after, hide)})
		return
	}
	keys := slices.Sorted(maps.Keys(b))
	for key := range a {
		if _, ok := b[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		w.walk(strings.TrimPrefix(path+key, "."), b[key], a[key])
	}
}

// entries returns the parts of a mapping, or of a list whose items have names,
// by how they stand in a path; nil for everything else.
func entries(v any) map[string]any {
	out := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if strings.ContainsAny(key, "./") {
				out["["+key+"]"] = value
			} else {
				out["."+key] = value
			}
		}
	case []any:
		for _, item := range v {
			m, _ := item.(map[string]any)
			name, _ := m["name"].(string)
			if path, ok := m["mountPath"].(string); ok {
				name = path
			}
			if key := "[" + name + "]"; name == "" || out[key] != nil {
				return nil
			}
			out["["+name+"]"] = item
		}
	default:
		return nil
	}
	return out
}

// shown is a value as it is, or only its size.
func shown(v any, hide bool) json.RawMessage {
	if v == nil {
		return nil
	}
	if text, ok := v.(string); hide && ok {
		v = fmt.Sprintf("(%d lines)", strings.Count(strings.TrimSuffix(text, "\n"), "\n")+1)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`"(not shown)"`)
	}
	return data
}
