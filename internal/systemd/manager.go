package systemd

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// DefaultSocket is where the manager of the system listens for root.
const DefaultSocket = "/run/systemd/private"

// The names of the manager's interfaces.
const (
	busName     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	onManager   = busName + ".Manager."
)

// Manager is a connection to a service manager, without a bus in between.
type Manager struct{ conn *dbus.Conn }

// Connect connects to the manager at a socket.
func Connect(ctx context.Context, socket string) (*Manager, error) {
	conn, err := dbus.Dial("unix:path="+dbus.EscapeBusAddressValue(socket), dbus.WithContext(ctx))
	if err == nil {
		if err = conn.Auth(nil); err != nil {
			_ = conn.Close()
		}
	}
	if err == nil {
		return &Manager{conn}, nil
	}
	failed := fault.New(fault.Incomplete, "reach the service manager at %s: %w", artifact.Quote(socket), err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		failed.Kind = fault.Refused
		return nil, failed.WithHint("run it as root")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, failed.WithHint("this host does not run systemd: print the unit without --apply and take it to one that does")
	}
	return nil, failed
}

// Close ends the connection.
func (m *Manager) Close() error { return m.conn.Close() }

func (m *Manager) call(ctx context.Context, what, method string, args []any, into ...any) error {
	call := m.conn.Object(busName, managerPath).CallWithContext(ctx, onManager+method, 0, args...)
	return failed(what, call.Store(into...))
}

// failed makes a fault of what the manager answered.
func failed(what string, err error) error {
	answer := dbus.Error{}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && strings.HasSuffix(answer.Name, ".NoSuchUnit"):
		return fault.New(fault.NotFound, "%s: %w", what, err)
	case errors.As(err, &answer) && strings.HasSuffix(answer.Name, ".AccessDenied"):
		return fault.New(fault.Refused, "%s: %w", what, err).WithHint("run it as root")
	default:
		return fault.New(fault.Incomplete, "%s: %w", what, err)
	}
}

// Reload has the manager read its units again.
func (m *Manager) Reload(ctx context.Context) error {
	return m.call(ctx, "daemon-reload", "Reload", nil)
}

// Enable has a unit started with the host. The unit is named by its file, so
// that one outside the manager's own directories is linked there.
func (m *Manager) Enable(ctx context.Context, file string) error {
	var carries bool
	var changes [][]any
	return m.call(ctx, "enable "+artifact.Quote(file), "EnableUnitFiles", []any{[]string{file}, false, false}, &carries, &changes)
}

// Enabled reports whether a unit is started with the host.
func (m *Manager) Enabled(ctx context.Context, unit string) (bool, error) {
	var state string
	err := m.call(ctx, "ask whether "+artifact.Quote(unit)+" is enabled", "GetUnitFileState", []any{unit}, &state)
	return state == "enabled", err
}

// Restart starts a unit, or starts it anew; it returns when the job is queued.
func (m *Manager) Restart(ctx context.Context, unit string) error {
	var job dbus.ObjectPath
	return m.call(ctx, "start "+artifact.Quote(unit), "RestartUnit", []any{unit, "replace"}, &job)
}

// ReloadUnit has a unit read its configuration again.
func (m *Manager) ReloadUnit(ctx context.Context, unit string) error {
	var job dbus.ObjectPath
	return m.call(ctx, "reload "+artifact.Quote(unit), "ReloadUnit", []any{unit, "replace"}, &job)
}

// State is how a unit is, as the manager sees it.
type State struct {
	Active string `json:"active"`
	Sub    string `json:"sub"`
	PID    uint32 `json:"main_pid"`
	// Result says why it ended, with the exit code of its process.
	Result   string `json:"result"`
	ExitCode int32  `json:"exit_code"`
	// File is where the manager has read the unit from, Status what the unit
	// says of itself.
	File   string `json:"file"`
	Status string `json:"status,omitempty"`
	// Pending says that the manager has yet to do what it was asked to: the
	// rest is of the time before.
	Pending bool `json:"-"`
}

// job is the property of a unit that names what is to be done with it.
type job struct {
	ID   uint32
	Path dbus.ObjectPath
}

// Look asks how a unit is. One that the manager does not know has no file.
func (m *Manager) Look(ctx context.Context, unit string) (s State, err error) {
	var path dbus.ObjectPath
	what := "look at " + artifact.Quote(unit)
	if err := m.call(ctx, what, "LoadUnit", []any{unit}, &path); err != nil {
		return s, err
	}
	var waits job
	err = m.properties(ctx, what, path, "Unit", map[string]any{"ActiveState": &s.Active, "SubState": &s.Sub, "FragmentPath": &s.File, "Job": &waits})
	if err == nil {
		err = m.properties(ctx, what, path, "Service", map[string]any{"MainPID": &s.PID, "Result": &s.Result, "ExecMainStatus": &s.ExitCode, "StatusText": &s.Status})
	}
	s.Pending = waits.ID != 0
	return s, err
}

// properties reads properties of one interface, all at the same moment.
func (m *Manager) properties(ctx context.Context, what string, path dbus.ObjectPath, on string, into map[string]any) error {
	var all map[string]dbus.Variant
	err := m.conn.Object(busName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, busName+"."+on).Store(&all)
	for name, to := range into {
		if err == nil {
			err = dbus.Store([]any{all[name]}, to)
		}
	}
	return failed(what, err)
}
