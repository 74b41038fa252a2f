package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// page is how many objects are asked for at once, maxObjects how many are
// taken at all.
const (
	page       = 500
	maxObjects = 100_000
)

func sub(ref cluster.Ref) []string {
	if ref.Sub == "" {
		return nil
	}
	return []string{ref.Sub}
}

func dryRun(dry bool) []string {
	if dry {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// Get returns an object, or a subresource of one.
func (c *Client) Get(ctx context.Context, ref cluster.Ref) (o cluster.Object, err error) {
	err = c.again(ctx, func() error {
		u, err := c.at(ref.Kind, ref.Namespace).Get(ctx, ref.Object, metav1.GetOptions{}, sub(ref)...)
		if err == nil {
			o = u.Object
		}
		return err
	})
	return o, about(err, "read "+ref.String())
}

// List returns the objects of a kind.
func (c *Client) List(ctx context.Context, kind cluster.Kind, namespace, selector string) (out []cluster.Object, err error) {
	err = c.again(ctx, func() error {
		out = nil
		options := metav1.ListOptions{LabelSelector: selector, Limit: page}
		for {
			list, err := c.at(kind, namespace).List(ctx, options)
			if err != nil {
				return err
			}
			for _, u := range list.Items {
				out = append(out, typed(u.Object, kind))
			}
			if len(out) > maxObjects {
				return fault.New(fault.Incomplete, "more than %d objects", maxObjects)
			}
			if options.Continue = list.GetContinue(); options.Continue == "" {
				return nil
			}
		}
	})
	return out, about(err, "list "+kind.Resource)
}

// typed fills in what lists leave out of their items.
func typed(o map[string]any, kind cluster.Kind) cluster.Object {
	if _, ok := o["kind"]; !ok {
		o["apiVersion"], o["kind"] = kind.APIVersion(), kind.Name
	}
	return o
}

// Create makes an object; with dry only as far as admission.
func (c *Client) Create(ctx context.Context, kind cluster.Kind, o cluster.Object, dry bool) (made cluster.Object, err error) {
	o = typed(o, kind)
	err = c.again(ctx, func() error {
		u, err := c.at(kind, o.Namespace()).Create(ctx, &unstructured.Unstructured{Object: o},
			metav1.CreateOptions{FieldManager: Manager, DryRun: dryRun(dry)})
		if err == nil {
			made = u.Object
		}
		return err
	})
	return made, about(err, "create "+kind.In(o.Namespace(), o.ObjectName()).String())
}

// Patch changes an object by JSON patch.
func (c *Client) Patch(ctx context.Context, ref cluster.Ref, ops []cluster.Op, dry bool) (o cluster.Object, err error) {
	data, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	err = c.again(ctx, func() error {
		u, err := c.at(ref.Kind, ref.Namespace).Patch(ctx, ref.Object, types.JSONPatchType, data,
			metav1.PatchOptions{FieldManager: Manager, DryRun: dryRun(dry)}, sub(ref)...)
		if err == nil {
			o = u.Object
		}
		return err
	})
	return o, about(err, "change "+ref.String())
}

// Apply makes or changes an object by server-side apply: its fields become
// ours, and those that were ours and are not in it go. Fields that somebody
// else owns with another value are a Conflict that names them; they are never
// taken by force. With dry it goes as far as admission and is not kept.
func (c *Client) Apply(ctx context.Context, kind cluster.Kind, o cluster.Object, dry bool) (applied cluster.Object, err error) {
	err = c.again(ctx, func() error {
		u, err := c.at(kind, o.Namespace()).Apply(ctx, o.ObjectName(), &unstructured.Unstructured{Object: o},
			metav1.ApplyOptions{FieldManager: Manager, DryRun: dryRun(dry)})
		if err == nil {
			applied = typed(u.Object, kind)
		}
		return owned(err)
	})
	return applied, about(err, "apply "+kind.In(o.Namespace(), o.ObjectName()).String())
}

// Delete removes the object with that UID, and nothing of the same name.
func (c *Client) Delete(ctx context.Context, ref cluster.Ref, uid string) error {
	known := types.UID(uid)
	background := metav1.DeletePropagationBackground
	err := c.again(ctx, func() error {
		return c.at(ref.Kind, ref.Namespace).Delete(ctx, ref.Object,
			metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &known}, PropagationPolicy: &background})
	})
	return about(err, "remove "+ref.String())
}

// Resource asks the API which resource a kind of object is.
func (c *Client) Resource(ctx context.Context, apiVersion, kind string) (found cluster.Kind, err error) {
	err = c.again(ctx, func() error {
		path := "/apis/"
		if !strings.Contains(apiVersion, "/") {
			path = "/api/"
		}
		list := metav1.APIResourceList{}
		if err := c.raw.Get().AbsPath(path + apiVersion).Do(ctx).Into(&list); err != nil {
			return err
		}
		for _, r := range list.APIResources {
			if r.Kind != kind || len(r.Name) == 0 || strings.Contains(r.Name, "/") {
				continue
			}
			found = cluster.Kind{Version: apiVersion, Resource: r.Name, Name: kind}
			if group, version, ok := strings.Cut(apiVersion, "/"); ok {
				found.Group, found.Version = group, version
			}
			return nil
		}
		return fault.New(fault.NotFound, "the API has no such kind")
	})
	return found, about(err, fmt.Sprintf("find the resource of %.100q %.100q", apiVersion, kind))
}

// Logs returns what a container wrote; at most the last 64 MiB.
func (c *Client) Logs(ctx context.Context, namespace, pod, container string, previous bool) (io.ReadCloser, error) {
	stream, err := c.raw.Get().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "log").
		Param("container", container).Param("previous", strconv.FormatBool(previous)).
		Param("timestamps", "true").Param("limitBytes", strconv.Itoa(64<<20)).Stream(ctx)
	return stream, about(translate(err), fmt.Sprintf("read the output of container %.100q of pod %.100q", container, pod))
}
