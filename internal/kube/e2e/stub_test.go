package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// gate stands before an API, real or not, and answers in its place where it is
// told to.
type gate struct {
	next           http.Handler
	url, authority string
	mu             sync.Mutex
	fate           func(r *http.Request) fate
}

// fate is what becomes of a request.
type fate struct {
	// status is answered instead of the truth; 0 for the truth.
	status int
	// cutBefore and cutAfter break the connection without an answer, before or
	// after the request was carried out.
	cutBefore, cutAfter bool
	// instead is done before the request is carried out: somebody was faster.
	instead func()
}

func newGate(t *testing.T, next http.Handler) *gate {
	t.Helper()
	g := &gate{next: next}
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS() // users are named only where nobody else listens
	t.Cleanup(server.Close)
	g.url = server.URL
	g.authority = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return g
}

// kubeconfig is that of a user, who is believed.
func (g *gate) kubeconfig(t *testing.T, user string) string {
	t.Helper()
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],"users":[{"name":"u","user":{"token":%q}}]}`, g.url, g.authority, user)
	path := filepath.Join(t.TempDir(), user+".kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tell says what becomes of requests from now on; nil is nothing special.
func (g *gate) tell(f func(r *http.Request) fate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fate = f
}

func (g *gate) told(r *http.Request) fate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fate == nil {
		return fate{}
	}
	return g.fate(r)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := g.told(r)
	switch {
	case what.cutBefore:
		panic(http.ErrAbortHandler)
	case what.cutAfter:
		g.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case what.status != 0:
		refuse(w, what.status, "the fault that was asked for")
		return
	case what.instead != nil:
		what.instead()
	}
	g.next.ServeHTTP(w, r)
}

// stub answers as the API server of a cluster in memory, to whom its users
// are, as their roles let them.
type stub struct{ *memory }

var reasons = map[int]string{
	400: "BadRequest", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests",
	500: "InternalError", 503: "ServiceUnavailable",
}

func refuse(w http.ResponseWriter, code int, message string) {
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "0")
	}
	answer(w, code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reasons[code], "code": code, "message": message})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// target is what a request is about.
type target struct {
	kind            cluster.Kind
	namespace, name string
	sub             string
}

// about reads a path of the API.
func about(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	version, rest := "", []string(nil)
	switch {
	case len(parts) > 2 && parts[0] == "api":
		version, rest = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		version, rest = parts[1]+"/"+parts[2], parts[3:]
	default:
		return target{}, false
	}
	var out target
	if rest[0] == "namespaces" && len(rest) > 2 {
		out.namespace, rest = rest[1], rest[2:]
	}
	rest = append(rest, "", "")
	out.name, out.sub = rest[1], rest[2]
	n := slices.IndexFunc(served, func(k cluster.Kind) bool { return k.APIVersion() == version && k.Resource == rest[0] })
	if n < 0 {
		return target{}, false
	}
	out.kind = served[n]
	return out, true
}

func verbOf(r *http.Request, t target) string {
	switch {
	case r.Method == http.MethodGet && t.name == "":
		return "list"
	case r.Method == http.MethodPost:
		return "create"
	}
	return strings.ToLower(r.Method)
}

func (s stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if group, ok := discovered(r.URL.Path); ok {
		answer(w, http.StatusOK, group)
		return
	}
	at, ok := about(r.URL.Path)
	if !ok {
		refuse(w, http.StatusNotFound, "the server could not find the requested resource")
		return
	}
	user := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	verb := verbOf(r, at)
	if at.kind != cluster.SelfAccessReviews && !s.allowed(user, verb, at.kind, at.sub, at.namespace) {
		refuse(w, http.StatusForbidden, fmt.Sprintf("%s is forbidden: User %q cannot %s it in %q", at.kind.Resource, user, verb, at.namespace))
		return
	}
	v, err := s.do(r, verb, user, at)
	if err == nil {
		answer(w, http.StatusOK, v)
		return
	}
	codes := map[fault.Kind]int{fault.NotFound: 404, fault.Conflict: 409, fault.Refused: 403, fault.Invalid: 400}
	refuse(w, codes[fault.KindOf(err)], err.Error())
}

func (s stub) do(r *http.Request, verb, user string, at target) (any, error) {
	ctx := r.Context()
	ref := at.kind.In(at.namespace, at.name)
	ref.Sub = at.sub
	dry := r.URL.Query().Get("dryRun") != ""
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return nil, err
	}
	var o cluster.Object
	var ops []cluster.Op
	into := any(&o)
	if verb == "patch" {
		into = &ops
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, into); err != nil {
			return nil, fault.New(fault.Invalid, "%w", err)
		}
	}
	switch verb {
	case "list":
		list, err := s.List(ctx, at.kind, at.namespace, r.URL.Query().Get("labelSelector"))
		return map[string]any{"apiVersion": at.kind.APIVersion(), "kind": at.kind.Name + "List", "metadata": map[string]any{}, "items": list}, err
	case "create":
		if at.kind == cluster.SelfAccessReviews {
			return s.review(user, o), nil
		}
		return s.Create(ctx, at.kind, o, dry)
	case "patch":
		return s.Patch(ctx, ref, ops, dry)
	case "delete":
		return map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"}, s.Delete(ctx, ref, o.Text("/preconditions/uid"))
	}
	if at.sub == "log" {
		return "what the container wrote", nil
	}
	return s.Get(ctx, ref)
}

// review answers what a user may do.
func (s stub) review(user string, o cluster.Object) cluster.Object {
	const at = "/spec/resourceAttributes/"
	for _, k := range served {
		if k.Group == o.Text(at+"group") && k.Resource == o.Text(at+"resource") {
			ok := s.allowed(user, o.Text(at+"verb"), k, o.Text(at+"subresource"), o.Text(at+"namespace"))
			o["status"] = map[string]any{"allowed": ok}
		}
	}
	o["apiVersion"], o["kind"] = cluster.SelfAccessReviews.APIVersion(), cluster.SelfAccessReviews.Name
	return o
}

// discovered lists the resources of one group and version.
func discovered(path string) (any, bool) {
	version := strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
	var list []any
	for _, k := range served {
		if k.APIVersion() == version {
			list = append(list, map[string]any{"name": k.Resource, "kind": k.Name, "namespaced": !k.ClusterScoped()})
		}
	}
	return map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": list}, len(list) > 0
}
