package cluster

import (
	"context"
	"encoding/json"
	"io"
)

// API is what containment asks of a cluster. Errors are faults: NotFound when
// there is no such object, or no such resource; Conflict when it is not as the
// caller said; Refused when access is denied, or admission denies; Incomplete
// when the API did not answer or asks to wait, so that trying again makes
// sense; Invalid when the API does not accept the request.
type API interface {
	Get(ctx context.Context, ref Ref) (Object, error)
	// List returns the objects of a kind in a namespace, or in all when it is
	// "", that match a label selector.
	List(ctx context.Context, kind Kind, namespace, selector string) ([]Object, error)
	// Create makes an object; with dry it goes through admission and is not
	// kept.
	Create(ctx context.Context, kind Kind, o Object, dry bool) (Object, error)
	// Patch changes an object by JSON patch; with dry it is not kept.
	Patch(ctx context.Context, ref Ref, ops []Op, dry bool) (Object, error)
	// Delete removes the object if it has the UID.
	Delete(ctx context.Context, ref Ref, uid string) error
	// Resource finds the resource of a kind of object.
	Resource(ctx context.Context, apiVersion, kind string) (Kind, error)
}

// Logs is implemented by APIs that can read what containers wrote.
type Logs interface {
	// Logs returns the output of a container, or of the one that ran in its
	// place before.
	Logs(ctx context.Context, namespace, pod, container string, previous bool) (io.ReadCloser, error)
}

// Op is one operation of a JSON patch (RFC 6902).
type Op struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Same are the operations that hold a patch to one state of one object.
func Same(o Object) []Op {
	return []Op{
		{Op: "test", Path: "/metadata/uid", Value: encode(o.UID())},
		{Op: "test", Path: "/metadata/resourceVersion", Value: encode(o.Revision())},
	}
}

func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic("a value of an object is always encodable: " + err.Error()) // it was decoded from JSON
	}
	return data
}
