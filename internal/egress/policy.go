// Package egress opens the connections that the program makes to somebody
// else's receivers, under a policy: where they may lead, how long they may take,
// and what of them may be told. It does not know what is sent.
package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// DefaultTimeout bounds one delivery where nothing else is configured.
const DefaultTimeout = 15 * time.Second

// maxRedirects bounds how often one request is sent on.
const maxRedirects = 3

// Policy says where connections may lead. The zero value follows no redirects,
// allows every address and trusts the certificates of the system.
type Policy struct {
	// ForbidPrivate refuses addresses that are not public: loopback, private,
	// link-local, shared and multicast ones. The address that is dialled is
	// looked at, so that a name cannot be moved between look and connection.
	ForbidPrivate bool
	// FollowRedirects lets a receiver send a request on, with method and body
	// as they are and never from https to http.
	FollowRedirects bool
	// CAFile holds the certificates that are trusted instead of the system's.
	CAFile string
	// Timeout bounds one delivery; 0 is DefaultTimeout.
	Timeout time.Duration
}

// AddKeys puts the policy's configuration keys beside those of a transport.
func (p *Policy) AddKeys(keys map[string]any) map[string]any {
	keys["forbid_private"], keys["follow_redirects"] = &p.ForbidPrivate, &p.FollowRedirects
	return p.AddTLSKeys(keys)
}

// AddTLSKeys is AddKeys for what is not HTTP.
func (p *Policy) AddTLSKeys(keys map[string]any) map[string]any {
	keys["ca_file"], keys["timeout"] = (*Path)(&p.CAFile), &p.Timeout
	keys["forbid_private"] = &p.ForbidPrivate
	return keys
}

// Path marks a text that is the path of a file, for who reads configurations.
type Path string

// Limit returns the bound of one delivery.
func (p Policy) Limit() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return DefaultTimeout
}

// ErrPrivate is the refusal of an address that is not public.
var ErrPrivate = errors.New("the address is not a public one, and forbid_private is set")

// Dialer returns a dialer that keeps to the policy.
func (p Policy) Dialer() *net.Dialer {
	d := &net.Dialer{Timeout: p.Limit(), KeepAlive: 15 * time.Second}
	if p.ForbidPrivate {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !Public(to.Addr()) {
				return ErrPrivate
			}
			return nil
		}
	}
	return d
}

// notPublic are networks that net/netip has no question for.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // shared, behind a carrier's NAT
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64: leads to any IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64, local
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2002::/16"),       // 6to4: leads to any IPv4 address
	netip.MustParsePrefix("fec0::/10"),       // site-local
}

// Public reports whether a is an address of the public network.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// TLS returns the configuration of encrypted connections to host.
func (p Policy) TLS(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if p.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(p.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("read ca_file: there is no certificate in it")
	}
	return c, nil
}

// Client returns an HTTP client that keeps to the policy. A proxy is used where
// the environment names one, unless private addresses are forbidden: where a
// proxy leads to cannot be seen from here.
func (p Policy) Client() (*http.Client, error) {
	conf, err := p.TLS("")
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext: p.Dialer().DialContext, TLSClientConfig: conf, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: p.Limit(), ResponseHeaderTimeout: p.Limit(), MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second,
	}
	if !p.ForbidPrivate {
		transport.Proxy = http.ProxyFromEnvironment
	}
	return &http.Client{Transport: transport, CheckRedirect: p.redirect}, nil
}

// redirect follows where the policy allows it. A redirect that would turn the
// request into one without its body is not followed: it would look delivered.
func (p Policy) redirect(next *http.Request, before []*http.Request) error {
	first := before[0]
	downgrade := first.URL.Scheme == "https" && next.URL.Scheme != "https"
	if !p.FollowRedirects || len(before) > maxRedirects || downgrade || next.Method != first.Method {
		return http.ErrUseLastResponse
	}
	if next.URL.Host != first.URL.Host { // what proves who we are is not for others
		for name := range next.Header {
			if name != "Content-Type" && name != "User-Agent" && name != "Idempotency-Key" {
				next.Header.Del(name)
			}
		}
	}
	return nil
}
