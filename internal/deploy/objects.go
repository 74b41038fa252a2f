package deploy

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Objects reads manifests as the API takes them.
func Objects(manifests []byte) (out []cluster.Object, err error) {
	dec, err := yaml.NewLoader(bytes.NewReader(manifests))
	if err != nil {
		return nil, fault.New(fault.Internal, "read manifests: %w", err)
	}
	for {
		var doc map[string]any
		switch err := dec.Load(&doc); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fault.New(fault.Internal, "read manifests: %w", err)
		case doc != nil:
			o, _ := plain(doc).(map[string]any)
			out = append(out, o)
		}
	}
}

// plain makes the numbers those of JSON decoded for the API.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = plain(value)
		}
	case []any:
		for i, value := range v {
			v[i] = plain(value)
		}
	case int:
		return int64(v)
	}
	return v
}
