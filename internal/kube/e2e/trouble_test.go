package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/cluster"
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

// stormed has everything refused with "too many requests" for some seconds
// after the first change, by a proxy: the API's own fairness always serves one
// request at a time.
func (p *plane) stormed(t *testing.T, s stage) {
	var until atomic.Int64
	var refused atomic.Int64
	p.proxied(t, s).tell(func(*http.Request) fate {
		if time.Now().UnixNano() > until.Load() {
			return fate{}
		}
		refused.Add(1)
		return once["too_many_requests"]
	})
	s.host.at("observed cut-stormed-fraud", func() { until.Store(time.Now().Add(8 * time.Second).UnixNano()) })
	s.host.finish(t, "isolate", "--apply")
	if n := refused.Load(); n < 3 {
		t.Errorf("only %d requests were refused", n)
	}
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
