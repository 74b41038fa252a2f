// Package charttest renders the Helm chart as Helm would, as far as the chart
// uses it, so that tests need no Helm. It is for tests only.
package charttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v4"
)

// functions are those of Helm that the chart uses, by their documentation.
var functions = template.FuncMap{
	"toYaml": func(v any) (string, error) {
		data, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(data), "\n"), err
	},
	"quote": func(v any) (string, error) {
		data, err := json.Marshal(v)
		if _, ok := v.(string); !ok {
			return `"` + string(data) + `"`, err
		}
		return string(data), err
	},
	"indent": func(n int, s string) string {
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
	},
	"sha256sum": func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) },
}

// Render renders the chart in a directory into a namespace, with its own values
// and those that are set beside them.
func Render(dir, namespace string, set map[string]any) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := yaml.Load(text, &values); err != nil {
		return nil, err
	}
	maps.Copy(values, set)
	text, err = os.ReadFile(filepath.Join(dir, "templates", "weightwarden.yaml"))
	if err != nil {
		return nil, err
	}
	t, err := template.New("chart").Funcs(functions).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{"Values": values, "Release": map[string]any{"Namespace": namespace}})
	return out.Bytes(), err
}
