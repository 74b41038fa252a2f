package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/kube"
)

// proxied returns a gate before the API, and has the stage's host go through
// it as who it is.
func (p *plane) proxied(t *testing.T, s stage) *gate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.path("responder.crt"), p.path("responder.key"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(p.path("ca.crt"))
	ca := x509.NewCertPool()
	if err != nil || !ca.AppendCertsFromPEM(pem) {
		t.Fatal("no authority", err)
	}
	to, err := url.Parse(p.url())
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Header.Del("Authorization") },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca, Certificates: []tls.Certificate{pair}}},
	})
	s.host.kubeconfig = g.kubeconfig(t, "responder")
	return g
}

// jailed has the API's own fairness refuse everything that the responder asks
// for, with "too many requests", for some seconds after the first change.
func (p *plane) jailed(t *testing.T, s stage) {
	ctx := t.Context()
	flow := func(resource, name string) cluster.Kind {
		return cluster.Kind{Group: "flowcontrol.apiserver.k8s.io", Version: "v1", Resource: resource, Name: name}
	}
	level, schema := flow("prioritylevelconfigurations", "PriorityLevelConfiguration"), flow("flowschemas", "FlowSchema")
	_, err := p.api.Create(ctx, level, cluster.Object{"metadata": map[string]any{"name": "jail"}, "spec": map[string]any{
		"type": "Limited", "limited": map[string]any{
			"nominalConcurrencyShares": int64(0), "lendablePercent": int64(0), "borrowingLimitPercent": int64(0),
			"limitResponse": map[string]any{"type": "Reject"},
		},
	}}, false)
	if err != nil {
		t.Fatal(err)
	}
	s.host.at("observed cut-jailed-fraud", func() {
		made, err := p.api.Create(ctx, schema, cluster.Object{"metadata": map[string]any{"name": "jail"}, "spec": map[string]any{
			"priorityLevelConfiguration": map[string]any{"name": "jail"}, "matchingPrecedence": int64(2),
			"rules": []any{map[string]any{
				"subjects":      []any{map[string]any{"kind": "User", "user": map[string]any{"name": "responder"}}},
				"resourceRules": []any{map[string]any{"verbs": []any{"*"}, "apiGroups": []any{"*"}, "resources": []any{"*"}, "clusterScope": true, "namespaces": []any{"*"}}},
			}},
		}}, false)
		if err != nil {
			t.Error(err)
			return
		}
		prisoner, err := kube.Connect(kube.Options{Kubeconfig: s.host.kubeconfig, Version: "e2e", Patience: time.Millisecond})
		if err != nil {
			t.Error(err)
			return
		}
		waitFor(t, "the storm", 20*time.Second, func() error {
			if _, err := prisoner.Get(ctx, cluster.Services.In("jailed", "fraud")); err == nil || !strings.Contains(err.Error(), "too many requests") {
				return fmt.Errorf("answered: %w", err)
			}
			return nil
		})
		time.AfterFunc(8*time.Second, func() { _ = p.api.Delete(ctx, schema.In("", "jail"), made.UID()) })
	})
	s.host.finish(t, "isolate", "--apply")
	s.contained(t, p.api, s.host, s.served)
}

// dropped breaks every third connection, before or after the request was
// carried out.
func (p *plane) dropped(t *testing.T, s stage) {
	n := 0
	p.proxied(t, s).tell(func(*http.Request) fate {
		n++
		return fate{cutBefore: n%6 == 2, cutAfter: n%6 == 5}
	})
	s.host.finish(t, "isolate", "--apply")
	if n < 40 {
		t.Errorf("only %d requests went through the proxy", n)
	}
	s.contained(t, p.api, s.host, s.served)
}

// conflicts answers the first change of each object with a conflict, and the
// second with "invalid".
func (p *plane) conflicts(t *testing.T, s stage) {
	met := map[string]int{}
	p.proxied(t, s).tell(func(r *http.Request) fate {
		if !changes(r) {
			return fate{}
		}
		met[r.URL.Path]++
		return fate{status: map[int]int{1: http.StatusConflict, 2: http.StatusUnprocessableEntity}[met[r.URL.Path]]}
	})
	s.host.finish(t, "isolate", "--apply")
	s.contained(t, p.api, s.host, s.served)
}

// fought has somebody whom nobody knows put the service's selector back, again
// and again: it is said, and when that ends, the work can be ended.
func (p *plane) fought(t *testing.T, s stage) {
	ctx := t.Context()
	end := make(chan struct{})
	var all sync.WaitGroup
	ref := cluster.Services.In("fought", "fraud")
	all.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if o, err := p.api.Get(ctx, ref); err == nil && o.Texts("/spec/selector")[cluster.KeyServing] != "" {
				_ = cluster.NewEdit(ref, o, cluster.Set(o, cluster.Pointer("spec", "selector", cluster.KeyServing), nil)).Apply(ctx, p.api)
			}
		}
	})
	code, _, stderr := s.host.try("incident", "isolate", s.host.incident, "--kubeconfig", s.host.kubeconfig, "--apply")
	if state := s.host.run(0, "incident", "show", s.host.incident)["state"]; code == 0 || state == "contained" || !strings.Contains(stderr, "cut-fought-fraud") {
		t.Errorf("exit code %d, state %v: %s", code, state, stderr)
	}
	t.Logf("exit code %d: %s", code, stderr)
	close(end)
	all.Wait()
	s.host.act(0, "resume")
	s.contained(t, p.api, s.host, s.served)
}

// removed deletes the service before it is cut. Whatever comes of it: what is
// said to be contained is.
func (p *plane) removed(t *testing.T, s stage) {
	ref := cluster.Services.In("removed", "fraud")
	s.host.at("intended cut-removed-fraud", func() {
		o, err := p.api.Get(t.Context(), ref)
		if err == nil {
			err = p.api.Delete(t.Context(), ref, o.UID())
		}
		if err != nil {
			t.Error(err)
		}
	})
	s.host.finish(t, "isolate", "--apply")
	s.contained(t, p.api, s.host, s.served)
}
