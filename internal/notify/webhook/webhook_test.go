package webhook_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/notify/webhook"
)

const token = "T0KEN-8d2f"

// serve starts a server that answers as told and returns its address, which
// has a token in every part that can have one.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://user:"+token+"@", 1) + "/hooks/" + token + "?key=" + token
}

func TestSend(t *testing.T) {
	tests := []struct {
		name      string
		status    int
		ok, retry bool
	}{
		{"delivered", 200, true, false},
		{"delivered_without_content", 204, true, false},
		{"moved", 302, false, false},
		{"not_modified", 304, false, false},
		{"bad_request", 400, false, false},
		{"not_found", 404, false, false},
		{"timed_out_there", 408, false, true},
		{"too_many", 429, false, true},
		{"broken", 500, false, true},
		{"gateway", 503, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got, content string
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got, content = r.Method+" "+r.URL.Path+" "+string(body), r.Header.Get("Content-Type")
				w.Header().Set("Location", "/elsewhere/"+token)
				w.WriteHeader(tt.status)
			})
			retry, err := webhook.Sender{}.Send(t.Context(), address, []byte(`{"text":"x"}`))
			if (err == nil) != tt.ok || retry != tt.retry {
				t.Errorf("retry %v, %v", retry, err)
			}
			if got != "POST /hooks/"+token+` {"text":"x"}` || content != "application/json" {
				t.Errorf("received %q as %q", got, content)
			}
			hides(t, address, err)
		})
	}
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

func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { followed = true })
	for _, status := range []int{301, 302, 303, 307, 308} {
		address := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
		retry, err := webhook.Sender{}.Send(t.Context(), address, nil)
		if err == nil || retry || followed {
			t.Errorf("%d: retry %v, %v, followed %v", status, retry, err, followed)
		}
		hides(t, address, err)
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
			retry, err := webhook.Sender{}.Send(ctx, tt.address, []byte("{}"))
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
	if retry, err := (webhook.Sender{}).Send(t.Context(), address, nil); err != nil || retry {
		t.Errorf("retry %v, %v", retry, err)
	}
}
