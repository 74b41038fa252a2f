package egress

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Poster delivers documents to HTTP endpoints under one policy.
type Poster struct {
	client *http.Client
	limit  time.Duration
}

// NewPoster returns a poster that keeps to the policy.
func NewPoster(p Policy) (*Poster, error) {
	client, err := p.Client()
	return &Poster{client, p.Limit()}, err
}

// Do sends a request as it is, as [Deliver] does.
func (p *Poster) Do(ctx context.Context, r Request) (Answer, bool, error) {
	return Deliver(ctx, p.client, p.limit, r)
}

// JSON posts a document. The key lets the receiver recognise a repeated try.
func (p *Poster) JSON(ctx context.Context, address, key string, header http.Header, doc any, secrets ...string) (Answer, bool, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return Answer{}, false, fmt.Errorf("write the document: %w", err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if key != "" {
		h.Set("Idempotency-Key", key)
	}
	for name, values := range header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return Deliver(ctx, p.client, p.limit, Request{URL: address, Header: h, Body: body, Secrets: secrets})
}
