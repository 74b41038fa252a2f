// Package systemd tells the service manager how the process is, by the
// protocol of sd_notify. Without a service manager nothing is told.
package systemd

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Notifier speaks to one service manager.
type Notifier struct {
	socket string
	// Watchdog is the time within which the manager wants to hear of us, or 0.
	Watchdog time.Duration
	clock    func() uint64
}

// New returns the notifier that the environment describes. The process id is
// this one's: a watchdog for another process is not ours to feed.
func New(getenv func(string) string, pid int) *Notifier {
	n := &Notifier{socket: getenv("NOTIFY_SOCKET"), clock: monotonic}
	if after, ok := strings.CutPrefix(n.socket, "@"); ok {
		n.socket = "\x00" + after // the abstract namespace
	}
	us, err := strconv.ParseUint(getenv("WATCHDOG_USEC"), 10, 62)
	ours := getenv("WATCHDOG_PID")
	if err == nil && n.socket != "" && (ours == "" || ours == strconv.Itoa(pid)) {
		n.Watchdog = time.Duration(min(us, 1<<40)) * time.Microsecond
	}
	return n
}

// Ready says that start or reload has ended, with one line about the state.
func (n *Notifier) Ready(ctx context.Context, status string) error {
	return n.send(ctx, "READY=1\nSTATUS="+oneLine(status))
}

// Reloading says that a reload has begun; Ready ends it.
func (n *Notifier) Reloading(ctx context.Context) error {
	return n.send(ctx, "RELOADING=1\nMONOTONIC_USEC="+strconv.FormatUint(n.clock(), 10))
}

// Stopping says that the process is about to end.
func (n *Notifier) Stopping(ctx context.Context) error { return n.send(ctx, "STOPPING=1") }

// Alive feeds the watchdog.
func (n *Notifier) Alive(ctx context.Context) error { return n.send(ctx, "WATCHDOG=1") }

func (n *Notifier) send(ctx context.Context, text string) error {
	if n.socket == "" {
		return nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixgram", n.socket)
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
