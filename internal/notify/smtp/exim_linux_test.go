package smtp_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/notify"
)

// eximConfig has a server take mails for example.com, from those who say a
// password over TLS, and put them into one file.
const eximConfig = `exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = DIR/spool
log_file_path = DIR/spool/log-%s
pid_file_path = DIR/spool/pid
primary_hostname = mail.example.com
domainlist local_domains = example.com
tls_advertise_hosts = *
tls_certificate = DIR/cert.pem
tls_privatekey = DIR/key.pem
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_rcpt = rcpt
acl_smtp_data = all
host_lookup =
keep_environment =
queue_only = false
begin acl
rcpt:
  accept authenticated = *
  deny
all:
  accept
begin routers
local:
  driver = accept
  domains = +local_domains
  transport = box
begin transports
box:
  driver = appendfile
  file = DIR/spool/box
  user = Debian-exim
  mode = 0600
  batch_max = 100
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{ward}}{eq{$auth3}{T0KEN-8d2f}}}}
  server_set_id = $auth2
`

// exim is a real mail server with a configuration and a spool of its own.
type exim struct {
	program, dir, ca string
	port             int
	cmd              *exec.Cmd
}

// newExim prepares a server. It needs to be started as root, which then gives
// that up; where tests may not be skipped, a missing server is a failure.
func newExim(t *testing.T) *exim {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs to be root, to start a mail server with a configuration of its own")
	}
	missing := t.Skipf
	if os.Getenv("WEIGHTWARDEN_TEST_ALL") != "" {
		missing = t.Fatalf
	}
	program, err := exec.LookPath("exim4")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/exim4")
	}
	account, unknown := user.Lookup("Debian-exim")
	if err != nil || unknown != nil {
		missing("needs exim4 (Debian: exim4-daemon-light): %v, %v", err, unknown)
	}
	// Not t.TempDir: the server's user has to get there.
	dir, err := os.MkdirTemp("", "exim-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &exim{program: program, dir: dir, ca: filepath.Join(dir, "cert.pem")}
	h := httptest.NewTLSServer(nil) // for its certificate
	defer h.Close()
	key, err := x509.MarshalPKCS8PrivateKey(h.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	spool := filepath.Join(dir, "spool")
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"conf":     []byte(strings.ReplaceAll(eximConfig, "DIR", dir)),
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(spool, uid, gid); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *exim) start(t *testing.T) {
	t.Helper()
	var out strings.Builder
	e.cmd = exec.CommandContext(t.Context(), e.program, "-bdf", "-oX", fmt.Sprintf("127.0.0.1.%d", e.port), "-C", filepath.Join(e.dir, "conf"))
	e.cmd.Stdout, e.cmd.Stderr = &out, &out
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.stop)
	until(t, "the server", func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.port))
		if err != nil {
			return fmt.Errorf("%w: %s", err, out.String())
		}
		return c.Close()
	})
}

func (e *exim) stop() {
	if e.cmd != nil {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait()
		e.cmd = nil
	}
}

// delivered waits until so many mails are in the mailbox, whole.
func (e *exim) delivered(t *testing.T, want int) (mails []*mail.Message) {
	t.Helper()
	until(t, "the mailbox", func() (err error) {
		if mails, err = e.box(); err == nil && len(mails) != want {
			err = fmt.Errorf("%d mails of %d", len(mails), want)
		}
		return err
	})
	return mails
}

func (e *exim) box() (mails []*mail.Message, err error) {
	data, err := os.ReadFile(filepath.Join(e.dir, "spool", "box"))
	if err != nil {
		return nil, err
	}
	for text := range strings.SplitSeq("\n"+string(data), "\nFrom ") {
		_, text, ok := strings.Cut(text, "\n")
		if !ok {
			continue
		}
		m, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			return nil, err // it is being written
		}
		mails = append(mails, m)
	}
	return mails, nil
}

func until(t *testing.T, what string, ok func() error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// TestMailServer sends through a real server: over STARTTLS, with a password,
// to a mailbox; while the server is away, and when it is back.
func TestMailServer(t *testing.T) {
	e := newExim(t)
	e.start(t)
	c := config(&server{port: e.port, ca: e.ca})
	if retry, err := send(t.Context(), t, c); err != nil || retry {
		t.Fatalf("retry %v, %v", retry, err)
	}
	m := e.delivered(t, 1)[0]
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != `"weightwarden: 1 new für m\r\nBcc: evil@example.com"` || m.Header.Get("Bcc") != "" {
		t.Errorf("%v, headers %v", err, m.Header)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.HasPrefix(strings.ReplaceAll(string(body), "\r\n", "\n"), alert.Text+"\n") {
		t.Errorf("%v, body %q", err, body)
	}
	if via := m.Header.Get("Received"); !strings.Contains(via, "esmtpsa") || !strings.Contains(via, "TLS1.3") {
		t.Errorf("it came by %q", via)
	}

	wrong := c
	wrong.Password = notify.Inline("T0KEN")
	if retry, err := send(t.Context(), t, wrong); err == nil || retry || !strings.Contains(err.Error(), "535") {
		t.Errorf("with a wrong password: retry %v, %v", retry, err)
	}
	e.stop()
	if retry, err := send(t.Context(), t, c); err == nil || !retry {
		t.Errorf("while it is away: retry %v, %v", retry, err)
	}
	e.start(t)
	if retry, err := send(t.Context(), t, c); err != nil || retry {
		t.Fatalf("when it is back: retry %v, %v", retry, err)
	}
	if all := e.delivered(t, 2); all[0].Header.Get("Message-Id") != all[1].Header.Get("Message-Id") {
		t.Error("two tries are not the same mail")
	}
}
