package systemd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/systemd"
)

// childMode tells this binary, run as a service, what to do.
const childMode = "WEIGHTWARDEN_SERVICE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(served(mode))
	}
	os.Exit(m.Run())
}

// served is a service: one that runs, one that ends, one that is never ready.
func served(mode string) int {
	n := systemd.New(os.Getenv, os.Getpid())
	ctx := context.Background()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	switch mode {
	case "ends":
		return 2
	case "dies":
		if n.Ready(ctx, "for a moment") != nil {
			return 3
		}
		time.Sleep(300 * time.Millisecond)
		return 4
	case "silent":
		select {}
	}
	for reloads := 0; ; reloads++ {
		if n.Ready(ctx, fmt.Sprintf("reloads %d", reloads)) != nil {
			return 3
		}
		<-hangup
	}
}

// manager starts a service manager of a user in a mount namespace of its own,
// where it believes that the host was booted with it.
func manager(t *testing.T) (m *systemd.Manager, units string) {
	t.Helper()
	const program = "/lib/systemd/systemd"
	if _, err := os.Stat(program); err != nil || os.Getuid() != 0 {
		t.Skip("needs systemd, and root to give it a mount namespace")
	}
	dir, err := os.MkdirTemp("", "sd") //nolint:usetesting // sockets want short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	units = filepath.Join(dir, "config/systemd/user")
	if err := os.MkdirAll(units, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "+program+" --user")
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Skipf("no mount namespace: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	socket := filepath.Join(dir, "systemd/private")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if m, err = systemd.Connect(t.Context(), socket); err == nil {
			t.Cleanup(func() { _ = m.Close() })
			return m, units
		}
		if time.Now().After(deadline) || syscall.Kill(cmd.Process.Pid, 0) != nil {
			t.Skipf("systemd does not run here: %v", err)
		}
	}
}

func unit(t *testing.T, mode string) []byte {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, "[Service]\nType=notify\nExecStart=%s\nExecReload=/bin/kill -HUP $MAINPID\nEnvironment=%s=%s\nRestart=on-failure\nRestartSec=5\n[Install]\nWantedBy=default.target\n",
		self, childMode, mode)
}

// A real manager installs units.
func TestInstall(t *testing.T) {
	m, units := manager(t)
	file := filepath.Join(units, "ww.service")
	put := func(mode string, limit time.Duration) (systemd.State, systemd.Outcome, error) {
		t.Helper()
		outcome, err := systemd.Compare(file, unit(t, mode), func([]byte) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		s, err := systemd.Install(t.Context(), m, file, unit(t, mode), outcome, limit)
		return s, outcome, err
	}
	first, outcome, err := put("runs", 20*time.Second)
	if err != nil || outcome != systemd.Created || first.Active != "active" || first.PID == 0 || first.Status != "reloads 0" {
		t.Fatalf("%s %+v, %v", outcome, first, err)
	}
	if on, err := m.Enabled(t.Context(), "ww.service"); err != nil || !on {
		t.Errorf("enabled %v, %v", on, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, outcome, err := put("runs", 20*time.Second)
	if err != nil || outcome != systemd.Unchanged || again.PID != first.PID || again.Status != "reloads 1" {
		t.Errorf("%s %+v, %v", outcome, again, err)
	}
	changed, outcome, err := put("runs2", 20*time.Second)
	if err != nil || outcome != systemd.Changed || changed.PID == first.PID {
		t.Errorf("%s %+v, %v", outcome, changed, err)
	}
	for mode, want := range map[string][2]string{
		"ends": {"exit code 2", "the configuration does not hold"}, "dies": {"exit code 4", "journalctl -u ww.service"}, "silent": {"not seen to run within 2s: activating", "journalctl"},
	} {
		if _, _, err := put(mode, 2*time.Second); fault.KindOf(err) != fault.Incomplete || !strings.Contains(err.Error(), want[0]) || !strings.Contains(fault.HintOf(err), want[1]) {
			t.Errorf("%s: %v (hint %s)", mode, err, fault.HintOf(err))
		}
	}
	if s, _, err := put("runs", 20*time.Second); err != nil || s.Active != "active" {
		t.Errorf("it does not run again: %+v, %v", s, err)
	}
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "masked.service")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	ours := func(text []byte) bool { return strings.HasPrefix(string(text), "ours") }
	for name, tt := range map[string]struct {
		file string
		want systemd.Outcome
		kind fault.Kind
	}{
		"none":   {filepath.Join(dir, "none.service"), systemd.Created, 0},
		"same":   {write("same.service", "ours new"), systemd.Unchanged, 0},
		"older":  {write("older.service", "ours old"), systemd.Changed, 0},
		"edited": {write("edited.service", "Nice=0"), "", fault.Refused},
		"masked": {link, "", fault.Refused},
	} {
		got, err := systemd.Compare(tt.file, []byte("ours new"), ours)
		if got != tt.want || (err != nil) != (tt.kind != 0) || err != nil && (fault.KindOf(err) != tt.kind || fault.HintOf(err) == "") {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestNoManager(t *testing.T) {
	_, err := systemd.Connect(t.Context(), filepath.Join(t.TempDir(), "private"))
	if fault.KindOf(err) != fault.Incomplete || !strings.Contains(fault.HintOf(err), "does not run systemd") {
		t.Errorf("%v", err)
	}
}
