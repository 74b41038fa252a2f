// Package webhook delivers alerts to an HTTP endpoint: in the form that the
// guide and chat services share, a JSON object with text and severity, or in
// one that a template gives. It keeps nothing and tries once.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/template"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is where to, and in which form.
type Config struct {
	URL notify.Secret
	// Method is POST, PUT or PATCH; POST where it is empty.
	Method string
	// Body is a template of text/template over the fields of an alert, with
	// the function json; the guide's document where it is empty.
	Body        string
	ContentType string
	Headers     map[string]notify.Secret
	// Key signs time and body with HMAC-SHA256, where given.
	Key notify.Secret
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddKeys(map[string]any{
		"url": &c.URL, "method": &c.Method, "body": &c.Body, "content_type": &c.ContentType, "headers": &c.Headers, "hmac_key": &c.Key,
	})
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	list := []string{notify.URL("url", c.URL, true), notify.Headers(c.Headers)}
	switch c.Method {
	case "", http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		list = append(list, "method: want POST, PUT or PATCH")
	}
	if _, err := render(c.Body, notify.Alert{}); err != nil {
		list = append(list, "body: "+notify.Plain(err.Error()))
	}
	if strings.ContainsAny(c.ContentType, "\r\n") {
		list = append(list, "content_type: has a line break")
	}
	return notify.Problems(list...)
}

// Open implements [notify.Config].
func (c *Config) Open(w notify.World) (notify.Transport, error) {
	p, err := egress.NewPoster(c.Policy)
	return &sender{c, w, p}, err
}

type sender struct {
	conf *Config
	w    notify.World
	post *egress.Poster
}

// Document is the guide's form of an alert.
type Document struct {
	Text     string           `json:"text"`
	Severity finding.Severity `json:"severity"`
}

// Signature is the header with the time and the HMAC-SHA256, in hex, of time,
// a dot and the body: "t=1700000000,v1=…".
const Signature = "X-Weightwarden-Signature"

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	address, err := s.conf.URL.Read(s.w)
	if err != nil {
		return true, err
	}
	body, err := render(s.conf.Body, a)
	if err != nil {
		return false, err
	}
	header, secrets, err := notify.ReadHeaders(s.conf.Headers, s.w)
	if err != nil {
		return true, err
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
		if s.conf.ContentType != "" {
			header.Set("Content-Type", s.conf.ContentType)
		}
	}
	if a.Key != "" {
		header.Set("Idempotency-Key", a.Key)
	}
	if s.conf.Key.Given() {
		key, err := s.conf.Key.Read(s.w)
		if err != nil {
			return true, err
		}
		header.Set(Signature, Sign(key, s.w.Now().Unix(), body))
		secrets = append(secrets, key)
	}
	_, retry, err := s.post.Do(ctx, egress.Request{Method: s.conf.Method, URL: address, Header: header, Body: body, Secrets: secrets})
	if err != nil {
		return retry, fmt.Errorf("webhook: %w", err)
	}
	return false, nil
}

// Sign returns the value of the header Signature.
func Sign(key string, unix int64, body []byte) string {
	at := strconv.FormatInt(unix, 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// maxBody bounds what a template may write.
const maxBody = 1 << 20

func render(text string, a notify.Alert) ([]byte, error) {
	if text == "" {
		return json.Marshal(Document{a.Text, a.Severity})
	}
	t, err := template.New("body").Funcs(template.FuncMap{"json": toJSON}).Parse(text)
	if err != nil {
		return nil, err
	}
	out := bounded{left: maxBody}
	err = t.Execute(&out, a)
	return out.buf.Bytes(), err
}

func toJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

// bounded takes only so much.
type bounded struct {
	buf  bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("the body is larger than 1 MiB")
	}
	return b.buf.Write(p)
}
