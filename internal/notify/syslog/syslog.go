// Package syslog sends alerts as messages of RFC 5424: in datagrams, or with
// octet counting over TCP or TLS (RFC 6587, RFC 5425).
package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is where to and as which facility.
type Config struct {
	// Network is udp, tcp or tls; udp where it is empty.
	Network string
	// Address is HOST:PORT.
	Address string
	// Facility is a number from 0 to 23; 10, security, where it is 0.
	Facility int
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddTLSKeys(map[string]any{"network": &c.Network, "address": &c.Address, "facility": &c.Facility})
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	list := []string{notify.Need("address", c.Address != "")}
	if host, port, err := net.SplitHostPort(c.Address); c.Address != "" && (err != nil || host == "" || port == "") {
		list = append(list, "address: want HOST:PORT")
	}
	if !slices.Contains([]string{"", "udp", "tcp", "tls"}, c.Network) {
		list = append(list, "network: want udp, tcp or tls")
	}
	if c.Facility < 0 || c.Facility > 23 {
		list = append(list, "facility: want a number from 0 to 23")
	}
	return notify.Problems(list...)
}

// Open implements [notify.Config].
func (c *Config) Open(w notify.World) (notify.Transport, error) {
	host, _, _ := net.SplitHostPort(c.Address)
	conf, err := c.TLS(host)
	return &sender{c, w, conf}, err
}

type sender struct {
	conf *Config
	w    notify.World
	tls  *tls.Config
}

// Bounds of messages: of a datagram, which every receiver takes whole, and of
// a stream.
const (
	maxDatagram = 2048
	maxStream   = 64 << 10
	security    = 10
)

// Send implements [notify.Transport]. A datagram has no way to be refused.
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.conf.Limit())
	defer cancel()
	if s.conf.Network == "" || s.conf.Network == "udp" {
		return s.datagram(ctx, a)
	}
	return s.stream(ctx, a)
}

func (s *sender) datagram(ctx context.Context, a notify.Alert) (bool, error) {
	conn, err := s.conf.Dialer().DialContext(ctx, "udp", s.conf.Address)
	if err != nil {
		return !errors.Is(err, egress.ErrPrivate), fmt.Errorf("syslog: %w", err)
	}
	_, err = conn.Write([]byte(notify.Cut(s.message(a), maxDatagram)))
	if err = errors.Join(err, conn.Close()); err != nil {
		return true, fmt.Errorf("syslog: %w", err)
	}
	return false, nil
}

// stream sends one message on a connection of its own and waits until the
// receiver has closed it as well: only then has it read what was sent.
func (s *sender) stream(ctx context.Context, a notify.Alert) (bool, error) {
	conn, err := s.conf.Dialer().DialContext(ctx, "tcp", s.conf.Address)
	if err != nil {
		return !errors.Is(err, egress.ErrPrivate), fmt.Errorf("syslog: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	closing, ok := conn.(interface{ CloseWrite() error })
	if s.conf.Network == "tls" {
		c := tls.Client(conn, s.tls)
		if err := c.HandshakeContext(ctx); err != nil {
			return true, fmt.Errorf("syslog: %w", err)
		}
		conn, closing, ok = c, c, true
	}
	text := notify.Cut(s.message(a), maxStream)
	if _, err := io.WriteString(conn, strconv.Itoa(len(text))+" "+text); err != nil {
		return true, fmt.Errorf("syslog: %w", err)
	}
	if ok {
		if err := closing.CloseWrite(); err != nil {
			return true, fmt.Errorf("syslog: %w", err)
		}
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(conn, 4096)); err != nil {
		return true, fmt.Errorf("syslog: the receiver did not close the connection after the message: %w", err)
	}
	return false, nil
}

// message writes the alert in the form of RFC 5424.
func (s *sender) message(a notify.Alert) string {
	facility := s.conf.Facility
	if facility == 0 {
		facility = security
	}
	types := make([]string, 0, len(a.New))
	for _, i := range a.New {
		if !slices.Contains(types, string(i.Type)) {
			types = append(types, string(i.Type))
		}
	}
	// 32473 is the enterprise number that RFC 5612 sets aside for examples and
	// for those who have none.
	data := fmt.Sprintf(`[weightwarden@32473 key="%s" status="%s" severity="%s" source="%s" open="%d" types="%s"]`,
		value(a.Key), value(string(a.Status)), a.Severity, value(a.Source), a.Open, value(strings.Join(types, ",")))
	text := strings.ReplaceAll(a.Text, "\n", " | ")
	return fmt.Sprintf("<%d>1 %s %s weightwarden - alert %s \ufeff%s", facility*8+level(a), a.At.UTC().Format("2006-01-02T15:04:05.000000Z"),
		header(a.Host), data, notify.Plain(text))
}

func level(a notify.Alert) int {
	switch {
	case a.Status == notify.Resolved || a.Status == notify.Test:
		return 5 // notice
	case a.Severity >= finding.Critical:
		return 2
	case a.Severity >= finding.High:
		return 3
	default:
		return 4
	}
}

// value escapes a parameter of structured data.
func value(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(notify.Cut(notify.Plain(s), 300))
}

// header keeps what may stand in a field of the header.
func header(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return notify.Cut(s, 250)
}
