package e2e_test

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cluster"
)

//go:embed testdata/crds.yaml
var crds string

// extend teaches the control plane the kinds of others, and plays their
// controllers until the test ends.
func (p *plane) extend(t *testing.T) {
	t.Helper()
	kind := cluster.Kind{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Name: "CustomResourceDefinition"}
	for _, o := range objects(t, crds) {
		if _, err := p.api.Create(t.Context(), kind, o, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []cluster.Kind{
		cluster.InferenceServices, cluster.Rollouts, cluster.Kustomizations, cluster.HelmReleases, cluster.Applications, cluster.ScaledObjects, cluster.HTTPRoutes,
	} {
		waitFor(t, k.Resource, 30*time.Second, func() error {
			_, err := p.api.List(t.Context(), k, "", "")
			return err
		})
	}
	for _, reconcile := range others {
		go func() {
			for t.Context().Err() == nil {
				reconcile(t.Context(), p.api)
				time.Sleep(100 * time.Millisecond)
			}
		}()
	}
}

// others are the controllers of others that the tests play.
var others = []func(context.Context, cluster.API){kserve, rollouts, gitops, keda, gateways}

func owner(o cluster.Object) []any {
	return []any{map[string]any{
		"apiVersion": o.Text("/apiVersion"), "kind": o.Text("/kind"), "name": o.ObjectName(), "uid": o.UID(), "controller": true, "blockOwnerDeletion": true,
	}}
}

// kserve plays the controller of inference services in its standard mode: it
// deletes what it has made when the service is stopped, and makes it anew, or
// puts it right, when it is not.
func kserve(ctx context.Context, api cluster.API) {
	list, _ := api.List(ctx, cluster.InferenceServices, "", "")
	for _, o := range list {
		name := o.ObjectName() + "-predictor"
		made := []cluster.Ref{cluster.Deployments.In(o.Namespace(), name), cluster.Services.In(o.Namespace(), name)}
		if o.Annotations()["serving.kserve.io/stop"] == "true" {
			for _, ref := range made {
				if there, err := api.Get(ctx, ref); err == nil && !there.Ending() {
					_ = api.Delete(ctx, ref, there.UID())
				}
			}
			continue
		}
		labels := map[string]any{"app": "isvc." + name, "serving.kserve.io/inferenceservice": o.ObjectName(), "component": "predictor", "model": "fraud"}
		selector := map[string]any{"app": "isvc." + name}
		meta := map[string]any{"name": name, "namespace": o.Namespace(), "ownerReferences": owner(o)}
		uri := o.Text("/spec/predictor/model/storageUri")
		_, _ = api.Create(ctx, cluster.Services, cluster.Object{"metadata": meta, "spec": map[string]any{
			"selector": selector, "ports": []any{map[string]any{"port": int64(80), "targetPort": int64(8080)}},
		}}, false)
		if svc, err := api.Get(ctx, made[1]); err == nil && svc.Texts("/spec/selector")[cluster.KeyServing] != "" {
			_ = cluster.NewEdit(made[1], svc, cluster.Set(svc, "/spec/selector", selector)).Apply(ctx, api)
		}
		_, err := api.Create(ctx, cluster.Deployments, cluster.Object{"metadata": meta, "spec": map[string]any{
			"replicas": o.Number("/spec/predictor/minReplicas"), "selector": map[string]any{"matchLabels": selector},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
				"containers": []any{map[string]any{"name": "kserve-container", "image": "registry.invalid/sklearn:1", "args": []any{"--uri", uri}}},
			}},
		}}, false)
		if err == nil {
			continue
		}
		if d, err := api.Get(ctx, made[0]); err == nil && d.Text("/spec/template/spec/containers/0/args/1") != uri {
			edit := cluster.NewEdit(made[0], d, cluster.Set(d, "/spec/template/spec/containers/0/args/1", uri))
			_ = edit.Apply(ctx, api)
		}
	}
}

// rollouts plays the controller of Argo Rollouts without any step: one
// ReplicaSet per template, the newest with all replicas, the others with none.
func rollouts(ctx context.Context, api cluster.API) {
	list, _ := api.List(ctx, cluster.Rollouts, "", "")
	for _, o := range list {
		v, _ := o.At("/spec/template")
		text, _ := json.Marshal(v)
		hash := fmt.Sprintf("%x", sha256.Sum256(text))[:10]
		var template cluster.Object
		if json.Unmarshal(text, &template) != nil {
			continue
		}
		labels := map[string]any{}
		for k, v := range template.Labels() {
			labels[k] = v
		}
		labels["rollouts-pod-template-hash"] = hash
		template["metadata"].(map[string]any)["labels"] = labels
		name := o.ObjectName() + "-" + hash
		replicas := o.Number("/spec/replicas")
		_, _ = api.Create(ctx, cluster.ReplicaSets, cluster.Object{
			"metadata": map[string]any{"name": name, "namespace": o.Namespace(), "ownerReferences": owner(o), "labels": labels},
			"spec": map[string]any{
				"replicas": int64(replicas), "template": map[string]any(template),
				"selector": map[string]any{"matchLabels": map[string]any{"app": labels["app"], "rollouts-pod-template-hash": hash}},
			},
		}, false)
		sets, _ := api.List(ctx, cluster.ReplicaSets, o.Namespace(), "")
		for _, rs := range sets {
			want := 0
			if rs.ObjectName() == name {
				want = replicas
			}
			if rs.Controller().Text("/uid") == o.UID() && rs.Number("/spec/replicas") != want {
				_ = cluster.NewEdit(cluster.ReplicaSets.In(o.Namespace(), rs.ObjectName()), rs, cluster.Set(rs, "/spec/replicas", want)).Apply(ctx, api)
			}
		}
	}
}

// gitops plays GitOps controllers that apply their manifests ten times a second
// unless they are suspended: every selector, weight and number of replicas of
// their namespace is put back.
func gitops(ctx context.Context, api cluster.API) {
	suspended := map[cluster.Kind]func(cluster.Object) bool{
		cluster.Kustomizations: func(o cluster.Object) bool { return o.Flag("/spec/suspend") },
		cluster.HelmReleases:   func(o cluster.Object) bool { return o.Flag("/spec/suspend") },
		cluster.Applications:   func(o cluster.Object) bool { return o.Annotations()["argocd.argoproj.io/skip-reconcile"] == "true" },
	}
	for kind, is := range suspended {
		list, _ := api.List(ctx, kind, "", "")
		for _, k := range list {
			if !is(k) {
				reapply(ctx, api, k.Namespace())
			}
		}
	}
}

func reapply(ctx context.Context, api cluster.API, namespace string) {
	services, _ := api.List(ctx, cluster.Services, namespace, "")
	for _, o := range services {
		if o.Texts("/spec/selector")[cluster.KeyServing] != "" {
			pointer := cluster.Pointer("spec", "selector", cluster.KeyServing)
			_ = cluster.NewEdit(cluster.Services.In(namespace, o.ObjectName()), o, cluster.Set(o, pointer, nil)).Apply(ctx, api)
		}
	}
	scaled(ctx, api, namespace, 3)
}

func scaled(ctx context.Context, api cluster.API, namespace string, want int) {
	deployments, _ := api.List(ctx, cluster.Deployments, namespace, "")
	for _, o := range deployments {
		if o.Number("/spec/replicas") != want {
			_ = cluster.NewEdit(cluster.Deployments.In(namespace, o.ObjectName()), o, cluster.Set(o, "/spec/replicas", want)).Apply(ctx, api)
		}
	}
}

// keda plays the autoscaler that wakes what was scaled to nothing, unless it
// is paused.
func keda(ctx context.Context, api cluster.API) {
	list, _ := api.List(ctx, cluster.ScaledObjects, "", "")
	for _, o := range list {
		if o.Annotations()["autoscaling.keda.sh/paused"] != "true" {
			scaled(ctx, api, o.Namespace(), o.Number("/spec/minReplicaCount"))
		}
	}
}

// gateways plays the controller of a gateway: it says which state of a route it
// has seen.
func gateways(ctx context.Context, api cluster.API) {
	list, _ := api.List(ctx, cluster.HTTPRoutes, "", "")
	for _, o := range list {
		generation := o.Number("/metadata/generation")
		if o.Number("/status/parents/0/conditions/0/observedGeneration") == generation {
			continue
		}
		ref := cluster.HTTPRoutes.In(o.Namespace(), o.ObjectName())
		ref.Sub = "status"
		status := map[string]any{"parents": []any{map[string]any{
			"parentRef": map[string]any{"name": "gateway"}, "controllerName": "example.invalid/gateway",
			"conditions": []any{map[string]any{"type": "Accepted", "status": "True", "observedGeneration": generation}},
		}}}
		_, _ = api.Patch(ctx, ref, append(cluster.Same(o), cluster.Op{Op: "add", Path: "/status", Value: cluster.Encode(status)}), false)
	}
}
