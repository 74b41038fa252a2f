package collect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// SocketReport is what was seen of the sockets.
type SocketReport struct {
	Sockets []Socket `json:"sockets"`
	// Missing says what could not be read, and why.
	Missing []string `json:"missing"`
}

// Socket is one socket as it was seen.
type Socket struct {
	// Protocol is tcp, tcp6, udp, udp6 or unix.
	Protocol string         `json:"protocol"`
	Local    netip.AddrPort `json:"local,omitzero"`
	Remote   netip.AddrPort `json:"remote,omitzero"`
	// Path is the name of a unix socket; abstract ones start with "@".
	Path string `json:"path,omitempty"`
	// State is the kernel's name for it in lower case: listen, established …
	State string `json:"state"`
	Inode uint64 `json:"inode"`
	// UID is the owner, -1 for unix sockets, where the kernel does not say.
	UID int `json:"uid"`
	// PIDs are the processes that were seen to hold the socket.
	PIDs []int `json:"pids,omitempty"`
	// Namespace is the network namespace, "" when it could not be read.
	Namespace string `json:"namespace,omitempty"`
}

var protocols = []string{"tcp", "tcp6", "udp", "udp6", "unix"}

// Sockets reads the sockets from proc, which is "/proc" on a living system,
// in every network namespace that a readable process lives in. An error means
// that nothing could be read, or that ctx is done.
func Sockets(ctx context.Context, proc string) (SocketReport, error) {
	h := &host{proc: proc}
	holders := map[uint64][]int{}
	inside := map[string]string{} // namespace → where its tables are
	if own, err := os.Readlink(h.path("self", "ns/net")); err == nil {
		inside[own] = h.path("self", "net")
	}
	err := h.eachPID(ctx, func(pid int) {
		for _, target := range h.fds(pid) {
			if inode, ok := socketInode(target); ok && !slices.Contains(holders[inode], pid) {
				holders[inode] = append(holders[inode], pid)
			}
		}
		if ns := h.link(pid, "ns/net"); ns != "" && inside[ns] == "" {
			inside[ns] = h.path(strconv.Itoa(pid), "net")
		}
	})
	if len(inside) == 0 {
		inside[""] = h.path("net")
	}
	report := SocketReport{Sockets: []Socket{}}
	for ns, dir := range inside {
		report.Sockets = append(report.Sockets, h.tables(ns, dir)...)
	}
	for i, s := range report.Sockets {
		if s.Inode != 0 { // 0: closing, held by nobody
			report.Sockets[i].PIDs = holders[s.Inode]
		}
	}
	slices.SortFunc(report.Sockets, compareSockets)
	report.Missing = h.gaps()
	return report, err
}

func compareSockets(a, b Socket) int {
	return cmp.Or(
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Protocol, b.Protocol),
		a.Local.Compare(b.Local),
		a.Remote.Compare(b.Remote),
		cmp.Compare(a.Inode, b.Inode),
	)
}

// tables reads the socket tables in dir.
func (h *host) tables(ns, dir string) []Socket {
	var out []Socket
	for _, protocol := range protocols {
		what := protocol + " sockets"
		if ns != "" {
			what += " of " + ns
		}
		data, err := read(dir+"/"+protocol, maxNet)
		if err != nil {
			h.miss(what, err)
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if i == 0 || len(line) == 0 {
				continue // the heading
			}
			s, err := parseSocket(protocol, string(line))
			if err != nil {
				h.miss(fmt.Sprintf("%s: line %d", what, i+1), err)
				continue
			}
			s.Namespace = ns
			out = append(out, s)
		}
	}
	return out
}

func parseSocket(protocol, line string) (Socket, error) {
	if protocol == "unix" {
		return parseUnix(line)
	}
	return parseInet(protocol, line)
}

// states are those of include/net/tcp_states.h, which udp shares.
var states = []string{
	"", "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait",
	"close", "close_wait", "last_ack", "listen", "closing", "new_syn_recv",
}

// parseInet reads one line of /proc/net/{tcp,tcp6,udp,udp6}.
func parseInet(protocol, line string) (Socket, error) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return Socket{}, fmt.Errorf("only %d fields", len(f))
	}
	local, err := parseAddrPort(f[1])
	if err != nil {
		return Socket{}, err
	}
	remote, err := parseAddrPort(f[2])
	if err != nil {
		return Socket{}, err
	}
	state, err := strconv.ParseUint(f[3], 16, 8)
	if err != nil {
		return Socket{}, fmt.Errorf("state %.10q is no number", f[3])
	}
	uid, err := strconv.ParseUint(f[7], 10, 32)
	if err != nil {
		return Socket{}, fmt.Errorf("user %.20q is no number", f[7])
	}
	inode, err := strconv.ParseUint(f[9], 10, 64)
	if err != nil {
		return Socket{}, fmt.Errorf("inode %.20q is no number", f[9])
	}
	return Socket{Protocol: protocol, Local: local, Remote: remote, State: stateName(state), UID: int(uid), Inode: inode}, nil
}

func stateName(state uint64) string {
	if state == 0 || state >= uint64(len(states)) {
		return fmt.Sprintf("state_%d", state)
	}
	return states[state]
}

// parseAddrPort reads an address as the kernel prints it: 32-bit words in the
// byte order of the machine, in hex, then the port in hex.
func parseAddrPort(s string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %.50q: not of the form hex:hex", s)
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port %.20q is no number", port)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(p)), nil
}

// unixStates are those of include/uapi/linux/net.h (socket_state).
var unixStates = []string{"free", "unconnected", "connecting", "connected", "disconnecting"}

// acceptCon is the flag of a socket that accepts connections (__SO_ACCEPTCON).
const acceptCon = 1 << 16

// parseUnix reads one line of /proc/net/unix: seven fields, then the path,
// which may hold blanks.
func parseUnix(line string) (Socket, error) {
	var f [7]string
	rest := line
	for i := range f {
		rest = strings.TrimLeft(rest, " ")
		f[i], rest, _ = strings.Cut(rest, " ")
	}
	flags, err := strconv.ParseUint(f[3], 16, 64)
	if err != nil {
		return Socket{}, fmt.Errorf("flags %.20q are no number", f[3])
	}
	state, err := strconv.ParseUint(f[5], 16, 8)
	if err != nil || state >= uint64(len(unixStates)) {
		return Socket{}, fmt.Errorf("state %.20q is none", f[5])
	}
	inode, err := strconv.ParseUint(f[6], 10, 64)
	if err != nil {
		return Socket{}, fmt.Errorf("inode %.20q is no number", f[6])
	}
	s := Socket{Protocol: "unix", Path: text([]byte(rest)), State: unixStates[state], Inode: inode, UID: -1}
	if flags&acceptCon != 0 {
		s.State = "listen"
	}
	return s, nil
}

// socketInode reads the target of a descriptor's link: "socket:[123]".
func socketInode(target string) (uint64, bool) {
	digits, ok := strings.CutPrefix(target, "socket:[")
	digits, ok2 := strings.CutSuffix(digits, "]")
	inode, err := strconv.ParseUint(digits, 10, 64)
	return inode, ok && ok2 && err == nil
}
