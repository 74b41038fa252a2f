package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// An MLflow model is a directory with a file MLmodel that names its flavors
// and what they consist of (MLflow documentation, "MLflow Model format").
const (
	mlmodelFile = "MLmodel"
	maxMLmodel  = 1 << 20
	// maxNodes bounds a document of nothing but brackets.
	maxNodes = 1 << 16
)

// pathKeys are the keys of MLmodel whose values are paths in the model, at the
// top or in a flavor.
var pathKeys = []string{
	"artifact_path", "checkpoint", "code", "code_paths", "components_binary", "conda", "data", "env", "model_binary", "model_code_path", "model_data",
	"model_path", "pickled_model", "python_model", "saved_model_dir", "torchserve_artifacts", "virtualenv",
}

// nested are the mappings below which path keys stand too.
var nested = []string{"env", "saved_input_example_info"}

func (v *verification) mlflow() {
	// Nothing is read but one small file, so there is no context to ask.
	_ = v.opened(func(root *os.Root) error {
		data, err := readSmall(root, mlmodelFile, maxMLmodel)
		var top *yaml.Node
		if err == nil {
			top, err = parseYAML(data)
		}
		if err != nil {
			v.problem(Unverified, "document_unread", mlmodelFile, "what it says is not known: %v", err)
			return nil
		}
		v.references(root, top)
		flavors := value(top, "flavors")
		for i := 0; flavors != nil && i+1 < len(flavors.Content); i += 2 {
			v.out.Flavors = append(v.out.Flavors, flavors.Content[i].Value)
			v.references(root, flavors.Content[i+1])
		}
		if len(v.out.Flavors) == 0 {
			v.problem(Unverified, "no_flavor", mlmodelFile, "it names no flavor, so nothing says how the model is loaded")
		}
		slices.Sort(v.out.Flavors)
		return nil
	})
}

// parseYAML reads one mapping. Aliases and keys given twice are refused:
// readers differ in what they make of them.
func parseYAML(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		return nil, fmt.Errorf("not YAML: %w", errMalformed)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("not one YAML mapping: %w", errMalformed)
	}
	pending := []*yaml.Node{doc.Content[0]}
	for n := 0; len(pending) > 0; n++ {
		node := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if n > maxNodes {
			return nil, fmt.Errorf("more than %d values: %w", maxNodes, errMalformed)
		}
		if err := checkNode(node); err != nil {
			return nil, err
		}
		pending = append(pending, node.Content...)
	}
	return doc.Content[0], nil
}

func checkNode(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: an alias: %w", n.Line, errMalformed)
	}
	seen := map[string]bool{}
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || seen[key.Value] || key.Value == "<<" {
			return fmt.Errorf("line %d: key %.80q is given twice or is none: %w", key.Line, key.Value, errMalformed)
		}
		seen[key.Value] = true
	}
	return nil
}

// value returns what stands at key in a mapping, or nil.
func value(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// references wants every path that a mapping names to be there. artifact_path
// at the top says where the model was logged, which is elsewhere.
func (v *verification) references(root *os.Root, n *yaml.Node) {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i].Value, n.Content[i+1]
		switch {
		case slices.Contains(nested, key) && val.Kind == yaml.MappingNode:
			v.references(root, val)
		case key == "artifacts" && val.Kind == yaml.MappingNode:
			for j := 1; j < len(val.Content); j += 2 {
				v.reference(root, value(val.Content[j], "path"))
			}
		case key == "artifact_path" && value(n, "flavors") != nil:
		case slices.Contains(pathKeys, key):
			v.reference(root, val)
		}
	}
}

// reference judges a scalar, or each of a list.
func (v *verification) reference(root *os.Root, n *yaml.Node) {
	if n == nil || n.Kind == yaml.SequenceNode {
		for i := 0; n != nil && i < len(n.Content); i++ {
			v.reference(root, n.Content[i])
		}
		return
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		return
	}
	p := strings.TrimSuffix(strings.TrimPrefix(n.Value, "./"), "/")
	if err := artifact.CheckPath(p); err != nil && p != "." {
		v.problem(Contradiction, "reference_leaves", mlmodelFile, "line %d: a part of the model is said to be elsewhere: %v", n.Line, err)
		return
	}
	switch _, err := root.Stat(p); {
	case errors.Is(err, fs.ErrNotExist):
		v.problem(Contradiction, "reference_missing", mlmodelFile, "line %d: %s is not in the model", n.Line, artifact.Quote(p))
	case err != nil:
		v.problem(Unverified, "reference_unread", mlmodelFile, "line %d: %s cannot be examined: %v", n.Line, artifact.Quote(p), cause(err))
	}
}
