package collect_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/collect"
)

const model = "/srv/models/m"

// fakeProc makes a tree with an inference server (7) that has one model file
// open, one deleted and one mapped, and an end of a process (8).
func fakeProc(t *testing.T) string {
	t.Helper()
	proc := t.TempDir()
	files := map[string]string{
		"stat":         "cpu 1 2\nbtime 1700000000\n",
		"7/stat":       "7 (py) S (\n3) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 250 0 0\n",
		"7/status":     "Name:\tpy\nUid:\t1000\t1001\t1000\t1000\n",
		"7/cmdline":    "python3\x00serve.py\x00--api-key\x00hunter2\x00--tokenizer\x00/srv/tok\x00",
		"7/environ":    "PATH=/bin\x00HF_TOKEN=hf_secretsecret\x00junk\x00a b=c\x00PATH=/usr\x00",
		"7/maps":       "7f00-7f01 r--s 00000000 fe:00 12   " + model + "/a b.safetensors\n7f01-7f02 rw-p 00000000 00:00 0 \n7f02-7f03 r--p 00000000 fe:00 13 " + model + "2/other\n",
		"7/net/tcp":    "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 555 1 0\n",
		"7/net/tcp6":   "heading\nnonsense\n",
		"7/net/unix":   "Num       RefCount Protocol Flags    Type St Inode Path\n0000000000000000: 00000002 00000000 00010000 0001 01   556 @/tmp/a b\n",
		"8/stat":       "8 gone",
		"sys/whatever": "",
	}
	for name, text := range files {
		path := filepath.Join(proc, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(proc+"/7/fd", 0o755), os.Mkdir(proc+"/7/ns", 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"exe": "/usr/bin/python3 (deleted)", "cwd": "/srv", "ns/net": "net:[42]",
		"fd/0": "/dev/null", "fd/3": model + "/w.bin", "fd/4": model + "/old.bin (deleted)", "fd/5": "socket:[555]", "fd/6": "socket:[x]",
	} {
		if err := os.Symlink(target, proc+"/7/"+name); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

func TestProcesses(t *testing.T) {
	got, err := collect.Processes(t.Context(), fakeProc(t), model+"/")
	if err != nil {
		t.Fatal(err)
	}
	want := collect.ProcessReport{
		Processes: []collect.Process{{
			PID: 7, PPID: 1, UID: 1001, Name: `"py) S (\n3"`, State: "S",
			Args:    []string{"python3", "serve.py", "--api-key", "***", "--tokenizer", "/srv/tok"},
			Started: time.Unix(1700000002, 500e6).UTC(), Exe: "/usr/bin/python3", ExeDeleted: true, Cwd: "/srv",
			Environment: []string{"HF_TOKEN", "PATH"},
			ModelFiles: []collect.HeldFile{
				{Path: model + "/a b.safetensors", Held: "mapped", FD: -1},
				{Path: model + "/old.bin", Held: "open", FD: 4, Deleted: true},
				{Path: model + "/w.bin", Held: "open", FD: 3},
			},
		}},
		Missing: []string{"process 8: stat: no name in parentheses"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	data, err := json.Marshal(got)
	if err != nil || strings.Contains(string(data), "hf_secret") || strings.Contains(string(data), "hunter2") {
		t.Errorf("a secret is in the report: %s, %v", data, err)
	}
}

func TestSockets(t *testing.T) {
	got, err := collect.Sockets(t.Context(), fakeProc(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []collect.Socket{
		{
			Protocol: "tcp", Local: netip.MustParseAddrPort("127.0.0.1:8080"), Remote: netip.MustParseAddrPort("0.0.0.0:0"),
			State: "listen", Inode: 555, UID: 1001, PIDs: []int{7}, Namespace: "net:[42]",
		},
		{Protocol: "unix", Path: "@/tmp/a b", State: "listen", Inode: 556, UID: -1, Namespace: "net:[42]"},
	}
	if diff := cmp.Diff(want, got.Sockets, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Contains(got.Missing, "tcp6 sockets of net:[42]: line 2: only 1 fields") {
		t.Errorf("missing: %q", got.Missing)
	}
}

func TestNothingToReadIsAnError(t *testing.T) {
	if _, err := collect.Processes(t.Context(), "/nonexistent"); err == nil {
		t.Error("processes")
	}
	if _, err := collect.Sockets(t.Context(), "/nonexistent"); err == nil {
		t.Error("sockets")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := collect.Processes(ctx, fakeProc(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestThisProcessAndItsSocket(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc here")
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	report, err := collect.Processes(t.Context(), "/proc", dir)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(report.Processes, func(p collect.Process) bool { return p.PID == os.Getpid() })
	if i < 0 {
		t.Fatal("this process was not found")
	}
	me := report.Processes[i]
	want := []collect.HeldFile{{Path: f.Name(), Held: "open", FD: int(f.Fd()), Deleted: true}}
	if diff := cmp.Diff(want, me.ModelFiles); diff != "" {
		t.Error(diff)
	}
	if me.PPID != os.Getppid() || me.UID != os.Geteuid() || time.Since(me.Started).Abs() > time.Hour || len(me.Args) == 0 || me.Exe == "" {
		t.Errorf("this process was read as %+v", me)
	}

	sockets, err := collect.Sockets(t.Context(), "/proc")
	if err != nil {
		t.Fatal(err)
	}
	i = slices.IndexFunc(sockets.Sockets, func(s collect.Socket) bool {
		return s.State == "listen" && s.Local.String() == l.Addr().String()
	})
	if i < 0 || !slices.Contains(sockets.Sockets[i].PIDs, os.Getpid()) {
		t.Errorf("the listening socket was not found, or not with this process")
	}
}
