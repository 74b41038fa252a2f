package smtp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/smtp"
)

// server speaks SMTP as RFC 5321 and RFC 3207 have it, over real TLS; answers
// change what it says to a command.
type server struct {
	tls     *tls.Config
	ca      string
	port    int
	plain   bool // does not offer STARTTLS
	answers map[string]string
	hangs   string // the command after which it says nothing more

	mu    sync.Mutex
	mails []string
	log   []string // commands, with "TLS" from where they are encrypted
}

func start(t *testing.T, s *server) *server {
	t.Helper()
	h := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(h.Close)
	s.tls = &tls.Config{Certificates: h.TLS.Certificates}
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s.port = l.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c, "")
		}
	}()
	return s
}

func (s *server) talk(c net.Conn, secure string) {
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
	if secure == "" {
		say("220 mail.example.com ready")
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		s.mu.Lock()
		s.log = append(s.log, secure+verb)
		s.mu.Unlock()
		if s.hangs == verb {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		if answer := s.answers[verb]; answer != "" && (verb != "RCPT" || strings.Contains(line, "second")) {
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-mail.example.com")
			if secure == "" && !s.plain {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go")
			s.talk(tls.Server(c, s.tls), "TLS ")
			return
		case "AUTH":
			if strings.Fields(line)[2] != base64.StdEncoding.EncodeToString([]byte("\x00ward\x00T0KEN-8d2f")) {
				say("535 wrong")
				continue
			}
			say("235 welcome")
		case "DATA":
			say("354 go")
			s.data(r, say)
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) data(r *bufio.Reader, say func(string)) {
	var text strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if line == ".\r\n" {
			break
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
	if answer := s.answers["."]; answer != "" {
		say(answer)
		return
	}
	s.mu.Lock()
	s.mails = append(s.mails, text.String())
	s.mu.Unlock()
	say("250 queued")
}

var alert = notify.Alert{
	Key: "5e", Group: "model/m", Status: notify.Firing, Severity: finding.Critical, Source: "m", Host: "gpu-7",
	Title: "weightwarden: 1 new für m\r\nBcc: evil@example.com", At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	Text: "weightwarden: 1 new\n.\n.hidden " + strings.Repeat("ü", 500),
}

func config(s *server) smtp.Config {
	c := smtp.Config{
		Host: "127.0.0.1", Port: s.port, Username: "ward", Password: notify.Inline("T0KEN-8d2f"),
		From: "Weightwarden <ward@example.com>", To: []string{"first@example.com", "second@example.com"},
	}
	c.CAFile = s.ca
	return c
}

func send(ctx context.Context, t *testing.T, c smtp.Config) (bool, error) {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	tr, err := c.Open(notify.World{Host: "gpu-7"})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Send(ctx, alert)
}

func TestMail(t *testing.T) {
	s := start(t, &server{})
	for range 2 {
		if retry, err := send(t.Context(), t, config(s)); err != nil || retry {
			t.Fatalf("retry %v, %v", retry, err)
		}
	}
	if got := strings.Join(s.log[:8], " "); got != "EHLO STARTTLS TLS EHLO TLS AUTH TLS MAIL TLS RCPT TLS RCPT TLS DATA" {
		t.Errorf("commands: %s", got)
	}
	var ids []string
	for _, text := range s.mails {
		m, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		want := strings.ReplaceAll(alert.Text, "\n", "\r\n") + "\r\n\r\n-- \r\nweightwarden gpu-7\r\n"
		if err != nil || string(body) != want {
			t.Errorf("%v, body\n%q, want\n%q", err, body, want)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || subject != `"weightwarden: 1 new für m\r\nBcc: evil@example.com"` || m.Header.Get("Bcc") != "" {
			t.Errorf("%v, headers %v", err, m.Header)
		}
		ids = append(ids, m.Header.Get("Message-Id"))
		for line := range strings.SplitSeq(text, "\r\n") {
			if len(line) > 998 {
				t.Errorf("a line has %d bytes", len(line))
			}
		}
	}
	if len(ids) != 2 || ids[0] != ids[1] || ids[0] == "" {
		t.Errorf("two tries are not the same mail: %q", ids)
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name   string
		server *server
		change func(*smtp.Config)
		retry  bool
		says   string
		mails  int
	}{
		{name: "no_starttls", server: &server{plain: true}, says: "does not offer STARTTLS"},
		{name: "unknown_authority", change: func(c *smtp.Config) { c.CAFile = "" }, retry: true, says: "certificate"},
		{name: "wrong_password", change: func(c *smtp.Config) { c.Password = notify.Inline("T0KEN") }, says: "535"},
		{name: "says_the_password", server: &server{answers: map[string]string{"AUTH": "535 no T0KEN-8d2f"}}, says: "535 \"no (address)\""},
		{name: "busy", server: &server{answers: map[string]string{"MAIL": "451 later"}}, retry: true, says: "451 \"later\""},
		{name: "sender_refused", server: &server{answers: map[string]string{"MAIL": "550 not you"}}, says: "550 \"not you\""},
		{name: "one_recipient_refused", server: &server{answers: map[string]string{"RCPT": "550 unknown"}}, says: "except to 1 of 2", mails: 1},
		{name: "content_refused", server: &server{answers: map[string]string{".": "554 spam"}}, says: "554 \"spam\""},
		{name: "full", server: &server{answers: map[string]string{".": "452 full"}}, retry: true, says: "452 \"full\""},
		{name: "half_open", server: &server{hangs: "DATA"}, retry: true, says: "data"},
		{name: "silent", server: &server{hangs: "EHLO"}, retry: true, says: "hello"},
		{name: "private", change: func(c *smtp.Config) { c.ForbidPrivate = true }, says: "forbid_private"},
		{name: "away", change: func(c *smtp.Config) { c.Port = 1 }, retry: true, says: "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.server == nil {
				tt.server = &server{}
			}
			s := start(t, tt.server)
			c := config(s)
			if tt.change != nil {
				tt.change(&c)
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			retry, err := send(ctx, t, c)
			if err == nil || retry != tt.retry || !strings.Contains(err.Error(), tt.says) || strings.Contains(fmt.Sprint(err), "T0KEN-8d2f") {
				t.Errorf("retry %v, %v", retry, err)
			}
			if len(s.mails) != tt.mails {
				t.Errorf("%d mails", len(s.mails))
			}
		})
	}
}

// Nothing secret is said before the connection is encrypted.
func TestNoPasswordInTheClear(t *testing.T) {
	s := start(t, &server{plain: true})
	_, _ = send(t.Context(), t, config(s))
	if got := strings.Join(s.log, " "); strings.Contains(got, "AUTH") || strings.Contains(got, "MAIL") {
		t.Errorf("commands: %s", got)
	}
	c := config(s)
	c.TLS, c.Username, c.Password = "none", "", notify.Secret{}
	if retry, err := send(t.Context(), t, c); err != nil || retry || len(s.mails) != 1 {
		t.Errorf("tls: none: retry %v, %v, %d mails", retry, err, len(s.mails))
	}
}

func TestMistakes(t *testing.T) {
	good := smtp.Config{Host: "h", From: "a@b", To: []string{"c@d"}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*smtp.Config){
		"host":     func(c *smtp.Config) { c.Host = "" },
		"to":       func(c *smtp.Config) { c.To = nil },
		"address":  func(c *smtp.Config) { c.To = []string{"not an address\r\nBcc: x@y"} },
		"from":     func(c *smtp.Config) { c.From = "" },
		"tls":      func(c *smtp.Config) { c.TLS = "ssl" },
		"port":     func(c *smtp.Config) { c.Port = 70000 },
		"username": func(c *smtp.Config) { c.Username = "x" },
		"clear":    func(c *smtp.Config) { c.TLS, c.Username, c.Password = "none", "x", notify.Inline("y") },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
