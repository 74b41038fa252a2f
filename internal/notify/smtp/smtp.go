// Package smtp sends alerts as mails, over connections that are encrypted with
// STARTTLS or from their beginning.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// Config is which server, and from whom to whom.
type Config struct {
	Host string
	// Port is 587, or 465 with implicit TLS, where it is 0.
	Port int
	// TLS is starttls, implicit, or none; starttls where it is empty.
	TLS      string
	Username string
	Password notify.Secret
	From     string
	To       []string
	egress.Policy
}

// Keys implements [notify.Config].
func (c *Config) Keys() map[string]any {
	return c.AddTLSKeys(map[string]any{
		"host": &c.Host, "port": &c.Port, "tls": &c.TLS, "username": &c.Username, "password": &c.Password, "from": &c.From, "to": &c.To,
	})
}

// Check implements [notify.Config].
func (c *Config) Check() error {
	list := []string{notify.Need("host", c.Host != ""), notify.Need("from", c.From != ""), notify.Need("to", len(c.To) > 0)}
	if !slices.Contains([]string{"", "starttls", "implicit", "none"}, c.TLS) {
		list = append(list, "tls: want starttls, implicit or none")
	}
	if c.Port < 0 || c.Port > 65535 {
		list = append(list, "port: want a number from 1 to 65535")
	}
	if c.TLS == "none" && c.Password.Given() {
		list = append(list, "password: is not sent without encryption: use tls: starttls")
	}
	if (c.Username != "") != c.Password.Given() {
		list = append(list, "username and password go together")
	}
	for _, address := range append([]string{c.From}, c.To...) {
		if _, err := mail.ParseAddress(address); address != "" && err != nil {
			list = append(list, notify.Plain(notify.Cut(address, 80))+" is no mail address")
		}
	}
	return notify.Problems(list...)
}

// Open implements [notify.Config].
func (c *Config) Open(w notify.World) (notify.Transport, error) {
	conf, err := c.Policy.TLS(c.Host)
	return &sender{c, w, conf}, err
}

type sender struct {
	conf *Config
	w    notify.World
	tls  *tls.Config
}

// Send implements [notify.Transport].
func (s *sender) Send(ctx context.Context, a notify.Alert) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.conf.Limit())
	defer cancel()
	password := ""
	if s.conf.Password.Given() {
		var err error
		if password, err = s.conf.Password.Read(s.w); err != nil {
			return true, err
		}
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return !errors.Is(err, egress.ErrPrivate), fmt.Errorf("smtp: connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := s.talk(conn, a, password); err != nil {
		return again(err), egress.Scrub(fmt.Errorf("smtp: %w", err), password)
	}
	return false, nil
}

func (s *sender) dial(ctx context.Context) (net.Conn, error) {
	port := s.conf.Port
	if port == 0 && s.conf.TLS == "implicit" {
		port = 465
	} else if port == 0 {
		port = 587
	}
	conn, err := s.conf.Dialer().DialContext(ctx, "tcp", net.JoinHostPort(s.conf.Host, strconv.Itoa(port)))
	if err != nil || s.conf.TLS != "implicit" {
		return conn, err
	}
	c := tls.Client(conn, s.tls)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// errPlain is final: what must not be read by others is not sent in the clear.
var errPlain = errors.New("the server does not offer STARTTLS; nothing was sent (tls: none sends without encryption)")

// talk holds one conversation. The mail is delivered when the server has
// accepted its end.
func (s *sender) talk(conn net.Conn, a notify.Alert, password string) error {
	c, err := smtp.NewClient(conn, s.conf.Host)
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if err := c.Hello(helo(s.w.Host)); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	if s.conf.TLS == "" || s.conf.TLS == "starttls" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errPlain
		}
		if err := c.StartTLS(s.tls); err != nil {
			return fmt.Errorf("starttls: %w", err)
		}
	}
	if password != "" {
		if err := c.Auth(smtp.PlainAuth("", s.conf.Username, password, s.conf.Host)); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	refused, err := s.mail(c, a)
	if err != nil {
		return err
	}
	_ = c.Quit()
	if len(refused) > 0 {
		return fmt.Errorf("delivered, except to %d of %d recipients: %w", len(refused), len(s.conf.To), errors.Join(refused...))
	}
	return nil
}

// mail sends to those recipients that the server accepts.
func (s *sender) mail(c *smtp.Client, a notify.Alert) (refused []error, err error) {
	if err := c.Mail(bare(s.conf.From)); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	for _, to := range s.conf.To {
		if err := c.Rcpt(bare(to)); err != nil {
			refused = append(refused, fmt.Errorf("recipient %s: %w", notify.Plain(to), err))
		}
	}
	if len(refused) == len(s.conf.To) {
		return nil, errors.Join(refused...)
	}
	w, err := c.Data()
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if _, err := w.Write(s.text(a)); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return refused, nil
}

// again reports whether a later try may succeed: after trouble with the
// network, or an answer that the server calls transient.
func again(err error) bool {
	if errors.Is(err, errPlain) {
		return false
	}
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return answer.Code < 500
	}
	return true
}

func bare(address string) string {
	a, err := mail.ParseAddress(address)
	if err != nil {
		return address
	}
	return a.Address
}

// helo returns a name that the protocol accepts.
func helo(host string) string {
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "localhost"
	}
	return host
}
