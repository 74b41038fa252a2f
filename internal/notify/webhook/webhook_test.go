package webhook_test

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/webhook"
)

const token = "T0KEN-8d2f"

var alert = notify.Alert{Key: "k1", Text: "one\n\"two\"", Severity: finding.High, Source: "m"}

// serve starts a server that answers as told and returns its address, which
// has a token in every part that can have one.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://user:"+token+"@", 1) + "/hooks/" + token + "?key=" + token
}

func send(ctx context.Context, t *testing.T, conf *webhook.Config, address string) (bool, error) {
	t.Helper()
	conf.URL = notify.Inline(address)
	tr, err := conf.Open(notify.World{Now: func() time.Time { return time.Unix(1700000000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Send(ctx, alert)
}

// hides checks that an error tells nothing of the address.
func hides(t *testing.T, address string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{token, address, "hooks"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %q: %v", secret, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	followed := ""
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		followed = r.Method + string(body) + r.Header.Get("X-Secret")
	})
	for _, follow := range []bool{false, true} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			followed = ""
			address := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
			conf := &webhook.Config{Headers: map[string]notify.Secret{"X-Secret": notify.Inline(token)}}
			conf.FollowRedirects = follow
			retry, err := send(t.Context(), t, conf, address)
			// Only 307 and 308 keep the method and the body; and what proves
			// who we are does not go to another host.
			want := follow && status >= 307
			if (err == nil) != want || retry || (followed != "") != want || want && !strings.HasPrefix(followed, `POST{"text"`) || strings.Contains(followed, token) {
				t.Errorf("follow %v, %d: retry %v, %v, followed %q", follow, status, retry, err, followed)
			}
			hides(t, address, err)
		}
	}
	loop := ""
	loop = serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, loop, http.StatusTemporaryRedirect) })
	conf := &webhook.Config{}
	conf.FollowRedirects = true
	if retry, err := send(t.Context(), t, conf, loop); err == nil || retry {
		t.Errorf("a loop: retry %v, %v", retry, err)
	}
}

func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	hangs := make(chan struct{})
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(hangs) })
	cut := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	tests := []struct {
		name, address string
		retry         bool
	}{
		{"refused", closed.URL + "/hooks/" + token, true},
		{"slow", slow, true},
		{"cut_off", cut, true},
		{"no_such_host", "http://" + token + ".invalid/hooks/" + token, true},
		{"tls_to_a_plain_server", strings.Replace(slow, "http://", "https://", 1), true},
		{"unknown_scheme", "gopher://" + token + "/hooks/", true},
		{"no_host", "http:///hooks/" + token, true},
		{"no_url", "http://[" + token, false},
		{"control_character", "http://host/hooks/" + token + "\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer stop()
			retry, err := send(ctx, t, &webhook.Config{}, tt.address)
			if err == nil || retry != tt.retry {
				t.Errorf("retry %v, %v", retry, err)
			}
			hides(t, tt.address, err)
		})
	}
}

// A server that answers and then goes on for ever has received the alert.
func TestEndlessAnswer(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 10 {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})
	if retry, err := send(t.Context(), t, &webhook.Config{}, address); err != nil || retry {
		t.Errorf("retry %v, %v", retry, err)
	}
}

func TestForms(t *testing.T) {
	tests := []struct {
		name string
		conf webhook.Config
		want string // method, content type, signature, body
	}{
		{"guide", webhook.Config{}, `POST application/json  {"text":"one\n\"two\"","severity":"high"}`},
		{
			"template",
			webhook.Config{Method: "PUT", ContentType: "text/plain", Body: `{{.Source}} is {{.Severity}}: {{json .Text}}`},
			`PUT text/plain  m is high: "one\n\"two\""`,
		},
		{
			"signed",
			webhook.Config{Body: "x", Key: notify.Inline("secret")},
			// printf 1700000000.x | openssl dgst -sha256 -hmac secret
			`POST application/json t=1700000000,v1=` + signature + ` x`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = r.Method + " " + r.Header.Get("Content-Type") + " " + r.Header.Get(webhook.Signature) + " " + string(body)
				if r.Header.Get("Idempotency-Key") != "k1" {
					t.Errorf("headers %v", r.Header)
				}
			})
			if err := (&tt.conf).Check(); err == nil || err.Error() != "url is missing" {
				t.Errorf("check: %v", err)
			}
			if retry, err := send(t.Context(), t, &tt.conf, address); err != nil || retry || got != tt.want {
				t.Errorf("retry %v, %v, received\n%s, want\n%s", retry, err, got, tt.want)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for name, conf := range map[string]webhook.Config{
		"unknown field":   {Body: "{{.Nothing}}"},
		"unfinished":      {Body: "{{.Text"},
		"method":          {Method: "GET"},
		"header":          {Headers: map[string]notify.Secret{"a b": notify.Inline("x")}},
		"line break":      {ContentType: "a\r\nb: c"},
		"scheme":          {URL: notify.Inline("ftp://" + token)},
		"endless content": {Body: `{{range $i, $e := .New}}{{end}}{{printf "%2000000d" 1}}`},
	} {
		if !conf.URL.Given() {
			conf.URL = notify.Inline("http://x")
		}
		if err := conf.Check(); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate of one's own authority is accepted with ca_file only.
func TestOwnAuthority(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	if retry, err := send(t.Context(), t, &webhook.Config{}, s.URL); err == nil || !retry {
		t.Errorf("without: retry %v, %v", retry, err)
	}
	conf := &webhook.Config{}
	conf.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(conf.CAFile, pemOf(s.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if retry, err := send(t.Context(), t, conf, s.URL); err != nil || retry {
		t.Errorf("with: retry %v, %v", retry, err)
	}
}

const signature = "33b144d363922749067b2c1366c8938aa1872f72b4ed8f3d06120e2dff006711"

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
