package kube

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// stub is an API server that answers as it is told.
func stub(t *testing.T, answer http.HandlerFunc, patience time.Duration) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := connect(&rest.Config{Host: server.URL}, "ml", Options{Version: "test", Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func status(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "0")
	}
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":%q}`, reason, code, message)
}

const pod = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"ml","uid":"u"}}`

func give(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprint(w, text)
}

func TestAnswersBecomeFaults(t *testing.T) {
	tests := map[string]struct {
		code            int
		reason, message string
		want            fault.Kind
	}{
		"not_found":      {404, "NotFound", "pods \"p\" not found", fault.NotFound},
		"forbidden":      {403, "Forbidden", "pods \"p\" is forbidden: User cannot patch", fault.Refused},
		"unauthorized":   {401, "Unauthorized", "Unauthorized", fault.Refused},
		"denied":         {403, "Forbidden", "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no", fault.Refused},
		"conflict":       {409, "Conflict", "the object has been modified", fault.Conflict},
		"exists":         {409, "AlreadyExists", "exists", fault.Conflict},
		"test_failed":    {422, "Invalid", "the server rejected our request due to an error in our request", fault.Conflict},
		"invalid":        {422, "Invalid", "spec.replicas: Invalid value", fault.Invalid},
		"bad_request":    {400, "BadRequest", "cannot decode", fault.Invalid},
		"too_many":       {429, "TooManyRequests", "slow down", fault.Incomplete},
		"server_error":   {500, "InternalError", "etcd is away", fault.Incomplete},
		"unavailable":    {503, "ServiceUnavailable", "starting", fault.Incomplete},
		"server_timeout": {504, "Timeout", "too slow", fault.Incomplete},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := stub(t, func(w http.ResponseWriter, _ *http.Request) { status(w, tt.code, tt.reason, tt.message) }, time.Millisecond)
			_, err := c.Patch(t.Context(), cluster.Pods.In("ml", "p"), []cluster.Op{{Op: "test", Path: "/a"}}, false)
			if fault.KindOf(err) != tt.want {
				t.Errorf("kind %v: %v", fault.KindOf(err), err)
			}
		})
	}
}

// A field of somebody else is named with its owner, and nothing is forced.
func TestApplyNamesOwners(t *testing.T) {
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); r.Method != http.MethodPatch || r.Header.Get("Content-Type") != "application/apply-patch+yaml" ||
			q.Get("fieldManager") != Manager || q.Get("force") == "true" || q.Get("dryRun") != "All" {
			t.Errorf("%s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409,"message":"Apply failed","details":{"causes":[`+
			`{"reason":"FieldManagerConflict","message":"conflict with \"flux\" using v1","field":".spec.nodeName"}]}}`)
	}, time.Millisecond)
	_, err := c.Apply(t.Context(), cluster.Pods, cluster.Object{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p", "namespace": "ml"}}, true)
	if fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" || !strings.Contains(err.Error(), `spec.nodeName: conflict with "flux"`) {
		t.Errorf("%v (hint %q)", err, fault.HintOf(err))
	}
}

// An API that has answered once is asked again until it answers.
func TestAsksAgain(t *testing.T) {
	var calls atomic.Int32
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := calls.Add(1); {
		case n == 1 || n > 4:
			give(w, pod)
		case n == 2:
			status(w, 429, "TooManyRequests", "slow down")
		case n == 3:
			status(w, 500, "InternalError", "etcd is away")
		default:
			panic(http.ErrAbortHandler) // the connection breaks
		}
	}, 30*time.Second)
	for range 2 {
		o, err := c.Get(t.Context(), cluster.Pods.In("ml", "p"))
		if err != nil || o.UID() != "u" {
			t.Fatalf("%v, %v", o, err)
		}
	}
	if n := calls.Load(); n < 5 {
		t.Errorf("%d calls", n)
	}
}

// A wrong address is said at once.
func TestNobodyThere(t *testing.T) {
	c, err := connect(&rest.Config{Host: "http://127.0.0.1:1"}, "ml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = c.Get(t.Context(), cluster.Pods.In("ml", "p"))
	if fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestResource(t *testing.T) {
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1":
			give(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods/log","kind":"Pod"},{"name":"pods","kind":"Pod","namespaced":true}]}`)
		case "/apis/ray.io/v1":
			give(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"ray.io/v1","resources":[{"name":"rayclusters","kind":"RayCluster","namespaced":true}]}`)
		default:
			status(w, 404, "NotFound", "the server could not find the requested resource")
		}
	}, time.Millisecond)
	tests := map[string]struct {
		apiVersion, kind string
		want             cluster.Kind
		fault            fault.Kind
	}{
		"core":       {"v1", "Pod", cluster.Pods, 0},
		"group":      {"ray.io/v1", "RayCluster", cluster.Kind{Group: "ray.io", Version: "v1", Resource: "rayclusters", Name: "RayCluster"}, 0},
		"no_kind":    {"v1", "Pood", cluster.Kind{}, fault.NotFound},
		"no_version": {"ray.io/v2", "RayCluster", cluster.Kind{}, fault.NotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := c.Resource(t.Context(), tt.apiVersion, tt.kind)
			if got != tt.want || (err != nil) != (tt.fault != 0) || err != nil && fault.KindOf(err) != tt.fault {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
