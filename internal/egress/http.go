package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Request is one delivery by HTTP.
type Request struct {
	// Method is POST where it is empty.
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// Secrets are what must not stand in an error, beside the URL.
	Secrets []string
}

// Answer is what the receiver said.
type Answer struct {
	Status int
	Header http.Header
	// Body is its beginning.
	Body []byte
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// Refusal is an answer that is no success.
type Refusal struct {
	Status int
	// After is how long the receiver asks to wait, or 0.
	After time.Duration
	text  string
}

func (r *Refusal) Error() string { return r.text }

// Wait returns how long the receiver asks to wait.
func (r *Refusal) Wait() time.Duration { return r.After }

// Deliver sends the request once. When it fails, retry says whether the same
// delivery may succeed later. No error holds the address or a secret.
func Deliver(ctx context.Context, client *http.Client, limit time.Duration, r Request) (answer Answer, retry bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, false, errors.New("the address is not a URL")
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "weightwarden")
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, !errors.Is(err, ErrPrivate), &hidden{hide(req.URL, r.Secrets, err), err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	answer = Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
	if resp.StatusCode < 300 {
		return answer, false, nil
	}
	return answer, again(resp.StatusCode), &Refusal{
		Status: resp.StatusCode, After: retryAfter(resp.Header.Get("Retry-After")),
		text: "answered " + strconv.Itoa(resp.StatusCode) + excerpt(req.URL, r.Secrets, body),
	}
}

// again reports whether the same request may succeed later.
func again(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	default:
		return status >= 500
	}
}

// maxWait bounds how long a receiver can ask to wait.
const maxWait = time.Hour

func retryAfter(value string) time.Duration {
	seconds, err := strconv.Atoi(value)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(min(seconds, 1<<20))*time.Second, maxWait)
}

// excerpt returns the beginning of an answer for people.
func excerpt(address *url.URL, secrets []string, body []byte) string {
	text := strings.TrimSpace(string(body))
	if text == "" {
		return ""
	}
	text = scrub(address, secrets, text)
	if len(text) > 120 {
		text = strings.ToValidUTF8(text[:120], "") + "…"
	}
	return ": " + artifact.Quote(text)
}

// hidden is an error whose text was made harmless; what it is can be asked.
type hidden struct {
	text  string
	cause error
}

func (h *hidden) Error() string   { return h.text }
func (h *hidden) Is(t error) bool { return errors.Is(h.cause, t) }

// hide keeps what went wrong and drops the address it went wrong with.
func hide(address *url.URL, secrets []string, err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return scrub(address, secrets, err.Error())
}

func scrub(address *url.URL, secrets []string, text string) string {
	password, _ := address.User.Password()
	for _, secret := range append([]string{
		address.String(), address.RequestURI(), address.Path, address.RawQuery, address.Host, address.Hostname(), password,
	}, secrets...) {
		if len(secret) > 1 {
			text = strings.ReplaceAll(text, secret, "(address)")
		}
	}
	return text
}

// Scrub removes secrets from the text of an error.
func Scrub(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	return &hidden{scrub(&url.URL{}, secrets, err.Error()), err}
}
