// Package stamp asks a time stamping authority (RFC 3161) to confirm that a
// text existed at a time, and verifies such a confirmation offline. It does not
// know what is stamped, or who is to be trusted: the roots are a parameter, and
// nothing is asked of the network but the one address that it is given.
package stamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// What is read at most: a response holds some certificates, a file of roots a
// few more.
const (
	maxResponse = 128 << 10
	maxRoots    = 256
)

// patience bounds one request.
const patience = 30 * time.Second

// Stamp is what an authority has confirmed.
type Stamp struct {
	// Time is the authority's.
	Time time.Time `json:"time"`
	// Accuracy is how far it may be off, as the authority says; 0 is unsaid.
	Accuracy time.Duration `json:"accuracy,omitempty"`
	Serial   string        `json:"serial"`
	Policy   string        `json:"policy"`
	// Signer is the subject of the certificate that signed.
	Signer string `json:"signer"`
}

// Client asks an authority.
type Client struct {
	// HTTP is used as it is; nil means one that follows no redirects.
	HTTP *http.Client
	// Random makes the number by which an answer belongs to its question.
	Random io.Reader
}

// Ask has the authority at address stamp text and returns its answer, as it is
// to be kept. The answer is the one to this question and its signature is
// whole; whether the signer is trusted is for [Verify] to say.
func (c Client) Ask(ctx context.Context, address, text string) ([]byte, Stamp, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, Stamp{}, fault.New(fault.Invalid, "time stamp: %.120q is no address of an authority", address).
			WithHint("name one as https://HOST/PATH")
	}
	nonce := make([]byte, 8)
	if _, err := io.ReadFull(c.Random, nonce); err != nil {
		return nil, Stamp{}, fmt.Errorf("time stamp: %w", err)
	}
	number := new(big.Int).SetBytes(nonce)
	request, err := timestamp.CreateRequest(bytes.NewReader([]byte(text)), &timestamp.RequestOptions{
		Hash: crypto.SHA256, Certificates: true, Nonce: number,
	})
	if err != nil {
		return nil, Stamp{}, fmt.Errorf("time stamp: make request: %w", err)
	}
	answer, err := c.post(ctx, address, request)
	if err != nil {
		return nil, Stamp{}, err
	}
	s, ts, err := read(answer, text)
	switch {
	case err != nil:
		return nil, Stamp{}, fault.New(fault.Untrusted, "time stamp: the answer of the authority: %w", err).
			WithHint("ask another authority, or export without --timestamp")
	case ts.Nonce == nil || ts.Nonce.Cmp(number) != 0:
		return nil, Stamp{}, fault.New(fault.Untrusted, "time stamp: the authority answered another question: it may be an old answer").
			WithHint("ask again, or ask another authority")
	}
	return answer, s, nil
}

func (c Client) post(ctx context.Context, address string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(request))
	if err != nil {
		return nil, fault.New(fault.Invalid, "time stamp: %w", err)
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	req.Header.Set("Accept", "application/timestamp-reply")
	req.Header.Set("User-Agent", "weightwarden")
	client := c.HTTP
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unanswered("%w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, unanswered("%w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, unanswered("it answered %d", resp.StatusCode)
	case len(answer) > maxResponse:
		return nil, unanswered("its answer is longer than %d bytes", maxResponse)
	}
	return answer, nil
}

func unanswered(format string, args ...any) error {
	return fault.New(fault.Incomplete, "time stamp: the authority gave none: "+format, args...).
		WithHint("try again, or export without --timestamp; the record can be stamped later")
}

// read reads an answer and checks that it is about text and that its signature
// is that of the certificate in it.
func read(answer []byte, text string) (Stamp, *timestamp.Timestamp, error) {
	if len(answer) > maxResponse {
		return Stamp{}, nil, fmt.Errorf("it is longer than %d bytes", maxResponse)
	}
	ts, err := parse(answer)
	if err != nil {
		return Stamp{}, nil, fmt.Errorf("it cannot be read: %w", err)
	}
	s := Stamp{Time: ts.Time.UTC(), Accuracy: ts.Accuracy, Policy: ts.Policy.String()}
	if ts.SerialNumber != nil {
		s.Serial = ts.SerialNumber.Text(16)
	}
	for _, c := range ts.Certificates {
		if !c.IsCA {
			s.Signer = c.Subject.String()
		}
	}
	want := artifact.SHA256Of([]byte(text))
	switch {
	case ts.HashAlgorithm != crypto.SHA256:
		return s, ts, fmt.Errorf("it is over %v, not over SHA-256", ts.HashAlgorithm)
	case !bytes.Equal(ts.HashedMessage, want.AppendTo(nil)):
		return s, ts, errors.New("it is about something else")
	case len(ts.Certificates) == 0:
		return s, ts, errors.New("the certificate of its signer is not in it")
	}
	return s, ts, nil
}

// parse keeps a panic of the parser from ending the program: what it reads may
// come from whoever made a bundle.
func parse(answer []byte) (ts *timestamp.Timestamp, err error) {
	defer func() {
		if r := recover(); r != nil {
			ts, err = nil, fmt.Errorf("it is malformed: %v", r)
		}
	}()
	return timestamp.ParseResponse(answer)
}

// Verify says what the answer confirms about text. A nil error means that an
// authority below one of the roots has signed it, with a certificate that was
// valid at the stamped time and is for nothing but time stamps. With an error
// the stamp says what the answer claims, where it can be read.
func Verify(answer []byte, text string, roots []*x509.Certificate) (s Stamp, err error) {
	s, ts, err := read(answer, text)
	if err != nil {
		return s, fmt.Errorf("time stamp: %w", err)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("time stamp: it is malformed: %v", r)
		}
	}()
	if len(roots) == 0 {
		return s, ErrNoRoots
	}
	_, err = verification.VerifyTimestampResponse(answer, bytes.NewReader([]byte(text)), verification.VerifyOpts{
		Roots: roots, Intermediates: ts.Certificates, CurrentTime: ts.Time,
	})
	if err != nil {
		return s, fmt.Errorf("time stamp of %s: %w", artifact.Quote(s.Signer), err)
	}
	return s, nil
}

// ErrNoRoots says that a stamp is well formed and nobody said whom to trust.
var ErrNoRoots = errors.New("time stamp: whom to trust was not said")

// ParseRoots reads certificates in PEM.
func ParseRoots(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(bytes.TrimSpace(data)) > 0 {
		block, rest := pem.Decode(data)
		switch {
		case block == nil:
			return nil, errors.New("there is something in it that is no PEM")
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("there is a %.40q in it, not a CERTIFICATE", block.Type)
		case len(out) == maxRoots:
			return nil, fmt.Errorf("there are more than %d certificates in it", maxRoots)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out)+1, err)
		}
		out, data = append(out, c), rest
	}
	if len(out) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return out, nil
}
