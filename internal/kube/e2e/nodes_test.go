package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/kube"
)

// play plays the kubelets of all nodes until the test ends: nodes are ready,
// what is scheduled to them runs at once, and what is deleted is let go of at
// once.
func (p *plane) play(t *testing.T) {
	conf, err := clientcmd.BuildConfigFromFlags("", p.admin)
	if err != nil {
		t.Error(err)
		return
	}
	conf.QPS, conf.Burst, conf.Timeout = 500, 1000, 5*time.Second
	d, err := dynamic.NewForConfig(conf)
	if err != nil {
		t.Error(err)
		return
	}
	api, err := kube.Connect(kube.Options{Kubeconfig: p.admin, Version: "e2e", Patience: time.Millisecond}) // the next look is soon
	if err != nil {
		t.Error(err)
		return
	}
	ctx := t.Context()
	for n := 0; ctx.Err() == nil; n++ {
		nodes, _ := api.List(ctx, kindNode, "", "")
		for _, o := range nodes {
			if !condition(o, "Ready") {
				ref := kindNode.In("", o.ObjectName())
				ref.Sub = "status"
				_, _ = api.Patch(ctx, ref, []cluster.Op{{Op: "add", Path: "/status/conditions", Value: cluster.Encode(conditions("Ready"))}}, false)
			}
		}
		pods, _ := api.List(ctx, cluster.Pods, "", "")
		for _, o := range pods {
			if o.Text("/spec/nodeName") != "" {
				n++
				kubelet(ctx, api, d, o, n)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func conditions(names ...string) (out []any) {
	for _, name := range names {
		out = append(out, map[string]any{"type": name, "status": "True", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)})
	}
	return out
}

// kubelet does for one pod what its node would do.
func kubelet(ctx context.Context, api cluster.API, d dynamic.Interface, o cluster.Object, n int) {
	now := time.Now().UTC().Format(time.RFC3339)
	switch {
	case o.Ending():
		at := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
		none := int64(0)
		_ = d.Resource(at).Namespace(o.Namespace()).Delete(ctx, o.ObjectName(), metav1.DeleteOptions{GracePeriodSeconds: &none})
	case o.Text("/status/phase") == "Pending" && len(o.Items("/status/containerStatuses")) == 0:
		ip := fmt.Sprintf("10.%d.%d.%d", 1+n>>16&0x7f, n>>8&0xff, n&0xff)
		phase, ready := "Running", conditions("Initialized", "ContainersReady", "Ready")
		var containers []any
		for _, c := range o.Items("/spec/containers") {
			status, ok := contained(c, now)
			if !ok {
				phase, ready = "Pending", conditions("Initialized")
			}
			containers = append(containers, status)
		}
		status := map[string]any{
			"phase": phase, "startTime": now, "podIP": ip, "podIPs": []any{map[string]any{"ip": ip}},
			"conditions": append(ready, conditions("PodScheduled")...), "containerStatuses": containers,
		}
		ref := cluster.Pods.In(o.Namespace(), o.ObjectName())
		ref.Sub = "status"
		_, _ = api.Patch(ctx, ref, []cluster.Op{
			{Op: "test", Path: "/metadata/uid", Value: cluster.Encode(o.UID())}, {Op: "add", Path: "/status", Value: cluster.Encode(status)},
		}, false)
	}
}

// contained is the status of a container, and whether it runs. An image called
// missing cannot be had, one called broken ends again and again.
func contained(c cluster.Object, now string) (status map[string]any, ok bool) {
	status = map[string]any{
		"name": c.Text("/name"), "image": c.Text("/image"), "imageID": c.Text("/image"), "ready": true, "restartCount": 0,
		"state": map[string]any{"running": map[string]any{"startedAt": now}},
	}
	waiting := func(reason, message string) {
		status["ready"], status["imageID"] = false, ""
		status["state"] = map[string]any{"waiting": map[string]any{"reason": reason, "message": message}}
	}
	switch image := c.Text("/image"); {
	case strings.Contains(image, "/missing"):
		waiting("ImagePullBackOff", "Back-off pulling image "+image)
	case strings.Contains(image, "/broken"):
		waiting("CrashLoopBackOff", "back-off 40s restarting failed container")
		status["lastState"], status["restartCount"] = map[string]any{"terminated": map[string]any{"exitCode": 2, "reason": "Error"}}, 3
	default:
		return status, true
	}
	return status, false
}

// applyAs applies an object as another field manager, by force.
func (p *plane) applyAs(t *testing.T, manager string, o cluster.Object) {
	t.Helper()
	conf, err := clientcmd.BuildConfigFromFlags("", p.admin)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dynamic.NewForConfig(conf)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := p.api.Resource(t.Context(), o.Text("/apiVersion"), o.Text("/kind"))
	if err != nil {
		t.Fatal(err)
	}
	at := schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: kind.Resource}
	_, err = d.Resource(at).Namespace(o.Namespace()).Apply(t.Context(), o.ObjectName(), &unstructured.Unstructured{Object: o}, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		t.Fatal(err)
	}
}
