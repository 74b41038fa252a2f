package systemd_test

import (
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/systemd"
)

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skipf("no unix sockets: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
	n := systemd.New(func(k string) string { return env[k] }, 7)
	if n.Watchdog != 30*time.Second {
		t.Errorf("watchdog %v", n.Watchdog)
	}
	for _, tt := range []struct {
		tell func() error
		want string
	}{
		{func() error { return n.Ready(t.Context(), "5 models\nSTOPPING=1") }, `^READY=1\nSTATUS=5 models STOPPING=1$`},
		{func() error { return n.Reloading(t.Context()) }, `^RELOADING=1\nMONOTONIC_USEC=\d+$`},
		{func() error { return n.Alive(t.Context()) }, `^WATCHDOG=1$`},
		{func() error { return n.Stopping(t.Context()) }, `^STOPPING=1$`},
	} {
		if err := tt.tell(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1024)
		size, err := server.Read(buf)
		if err != nil || !regexp.MustCompile(tt.want).Match(buf[:size]) {
			t.Errorf("%v, told %q, want %s", err, buf[:size], tt.want)
		}
	}
	_ = server.Close()
	if n.Alive(t.Context()) == nil {
		t.Error("nobody listens, and no error")
	}
}

func TestWithoutManager(t *testing.T) {
	env := map[string]string{"WATCHDOG_USEC": "30000000"}
	n := systemd.New(func(k string) string { return env[k] }, 7)
	if n.Watchdog != 0 || n.Ready(t.Context(), "x") != nil {
		t.Errorf("%+v", n)
	}
	env = map[string]string{"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}
	if n := systemd.New(func(k string) string { return env[k] }, 7); n.Watchdog != 0 {
		t.Error("fed the watchdog of another process")
	}
}
