// Package webhook delivers alerts to an HTTP endpoint, in the form that the
// guide and chat services share: a JSON object with text and severity. It
// keeps nothing and tries once; the outbox does the rest.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// timeout bounds one delivery.
const timeout = 15 * time.Second

// Sender posts payloads.
type Sender struct {
	// Client is used as it is; nil means one that follows no redirects, so
	// that an alert cannot be sent on to somebody else.
	Client *http.Client
}

// Send posts the payload to target. When it fails, retry says whether the same
// delivery may succeed later. The error never holds the address, which is a
// secret where it carries a token.
func (s Sender) Send(ctx context.Context, target string, payload []byte) (retry bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(payload))
	if err != nil {
		return false, errors.New("webhook: the address is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "weightwarden")
	resp, err := s.client().Do(req)
	if err != nil {
		return true, errors.New("webhook: " + hide(req.URL, err))
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	switch {
	case resp.StatusCode < 300:
		return false, nil
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return true, fmt.Errorf("webhook: answered %d", resp.StatusCode)
	default:
		return false, fmt.Errorf("webhook: answered %d", resp.StatusCode)
	}
}

func (s Sender) client() *http.Client {
	if s.Client != nil {
		return s.Client
	}
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// hide keeps what went wrong and drops the address it went wrong with.
func hide(address *url.URL, err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	text := err.Error()
	password, _ := address.User.Password()
	for _, secret := range []string{
		address.String(), address.RequestURI(), address.Path, address.RawQuery, address.Host, address.Hostname(), password,
	} {
		if len(secret) > 1 {
			text = strings.ReplaceAll(text, secret, "(address)")
		}
	}
	return text
}
