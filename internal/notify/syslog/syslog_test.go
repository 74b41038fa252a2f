package syslog_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/syslog"
)

var alert = notify.Alert{
	Key: "5e", Status: notify.Firing, Severity: finding.Critical, Source: `a"]\b`, Text: "one\ntwo\x1b", Host: "gpu 7",
	At: time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC), Open: 1, New: []indicator.Indicator{{Type: indicator.ModelFileTampered}},
}

// As RFC 5424 has it: priority 10*8+2, quotes and brackets of the structured
// data escaped, the text marked as UTF-8.
const line = `<82>1 2026-03-01T12:00:00.000001Z gpu7 weightwarden - alert [weightwarden@32473 key="5e" status="firing"` +
	` severity="critical" source="a\"\]\\b" open="1" types="model_file_tampered"] ` + "\ufeff" + `"one | two\x1b"`

func send(ctx context.Context, t *testing.T, c syslog.Config) (bool, error) {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	tr, err := c.Open(notify.World{})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Send(ctx, alert)
}

func TestDatagram(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	if retry, err := send(t.Context(), t, syslog.Config{Address: server.LocalAddr().String()}); err != nil || retry {
		t.Fatalf("retry %v, %v", retry, err)
	}
	buf := make([]byte, 4096)
	n, _, err := server.ReadFrom(buf)
	if err != nil || string(buf[:n]) != line {
		t.Errorf("%v, received\n%s, want\n%s", err, buf[:n], line)
	}
}

// serve accepts connections and hands each to talk.
func serve(t *testing.T, conf *tls.Config, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); talk(c) }()
		}
	}()
	return l.Addr().String()
}

// readOne reads a message with octet counting, to the end of the connection.
func readOne(c net.Conn) string {
	r := bufio.NewReader(c)
	length, err := r.ReadString(' ')
	n, err2 := strconv.Atoi(strings.TrimSpace(length))
	if err != nil || err2 != nil {
		return fmt.Sprint(err, err2)
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(r, buf); err != nil {
		return err.Error()
	}
	rest, _ := io.ReadAll(r)
	return string(buf) + string(rest)
}

func TestStream(t *testing.T) {
	got := make(chan string, 1)
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"tcp", "tls"} {
		var conf *tls.Config
		if network == "tls" {
			conf = &tls.Config{Certificates: s.TLS.Certificates}
		}
		c := syslog.Config{Network: network, Address: serve(t, conf, func(c net.Conn) { got <- readOne(c) })}
		if network == "tls" {
			if retry, err := send(t.Context(), t, c); err == nil || !retry {
				t.Errorf("unknown authority: retry %v, %v", retry, err)
			}
			<-got
			c.CAFile = ca
		}
		if retry, err := send(t.Context(), t, c); err != nil || retry {
			t.Fatalf("%s: retry %v, %v", network, retry, err)
		}
		if text := <-got; text != line {
			t.Errorf("%s: received\n%s, want\n%s", network, text, line)
		}
	}
}

// Only a receiver that closes the connection after the message has read it.
func TestNotDelivered(t *testing.T) {
	hangs := make(chan struct{})
	t.Cleanup(func() { close(hangs) })
	reset := serve(t, nil, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	halfOpen := serve(t, nil, func(net.Conn) { <-hangs })
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	away := l.Addr().String()
	_ = l.Close()
	for name, address := range map[string]string{"away": away, "reset": reset, "half_open": halfOpen} {
		ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		retry, err := send(ctx, t, syslog.Config{Network: "tcp", Address: address})
		stop()
		if err == nil || !retry {
			t.Errorf("%s: retry %v, %v", name, retry, err)
		}
	}
	c := syslog.Config{Network: "tcp", Address: halfOpen}
	c.ForbidPrivate = true
	if retry, err := send(t.Context(), t, c); err == nil || retry {
		t.Errorf("private: retry %v, %v", retry, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []syslog.Config{{}, {Address: "host"}, {Address: ":514"}, {Address: "h:1", Network: "sctp"}, {Address: "h:1", Facility: 24}} {
		if c.Check() == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
