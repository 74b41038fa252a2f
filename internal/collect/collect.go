// Package collect reads the volatile evidence of a Linux host from files
// below /proc: processes, the model files they hold, and sockets. It starts
// no program, because the programs of a host under suspicion are not to be
// trusted; it trusts the kernel, and so cannot see what a kernel rootkit
// hides. It changes nothing and judges nothing.
//
// Environment variables are reported by name only. In arguments, values that
// are obviously secrets are masked; see [MaskArgs] for what is obvious.
package collect

import (
	"context"
	"net/netip"
	"time"
)

// ProcessReport is what was seen of the processes.
type ProcessReport struct {
	Processes []Process `json:"processes"`
	// Missing says what could not be read, and why.
	Missing []string `json:"missing"`
}

// Process is one process as it was seen.
type Process struct {
	PID  int `json:"pid"`
	PPID int `json:"ppid"`
	// UID is the effective user, -1 when it could not be read.
	UID     int       `json:"uid"`
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Args    []string  `json:"args"`
	Started time.Time `json:"started,omitzero"`
	Exe     string    `json:"exe,omitempty"`
	// ExeDeleted says that the program's file is gone or was replaced.
	ExeDeleted bool   `json:"exe_deleted,omitempty"`
	Cwd        string `json:"cwd,omitempty"`
	// Environment holds the names of variables, never their values.
	Environment []string `json:"environment,omitempty"`
	// ModelFiles are the files below the asked-for directories that the
	// process has open or mapped.
	ModelFiles []HeldFile `json:"model_files,omitempty"`
}

// HeldFile is a file that a process holds.
type HeldFile struct {
	Path string `json:"path"`
	// Held is "open" or "mapped".
	Held string `json:"held"`
	// FD is the descriptor of an open file, whose content can be read
	// through /proc/<pid>/fd even when it is deleted; -1 for a mapped one.
	FD int `json:"fd"`
	// Deleted says that the path leads to this file no more.
	Deleted bool `json:"deleted,omitempty"`
}

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
	Path  string `json:"path,omitempty"`
	State string `json:"state"`
	Inode uint64 `json:"inode"`
	// UID is the owner, -1 for unix sockets, where the kernel does not say.
	UID int `json:"uid"`
	// PIDs are the processes that were seen to hold the socket.
	PIDs []int `json:"pids,omitempty"`
	// Namespace is the network namespace, "" when it could not be read.
	Namespace string `json:"namespace,omitempty"`
}

// Processes reads the processes from proc, which is "/proc" on a living
// system. Files below dirs that a process holds are listed with it.
func Processes(ctx context.Context, proc string, dirs ...string) (ProcessReport, error) {
	return ProcessReport{}, nil
}

// Sockets reads the sockets from proc, in every network namespace that a
// readable process lives in.
func Sockets(ctx context.Context, proc string) (SocketReport, error) {
	return SocketReport{}, nil
}

// MaskArgs is the list of arguments with obvious secrets replaced.
func MaskArgs(args []string) []string { return args }
