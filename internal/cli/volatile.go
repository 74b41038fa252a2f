package cli

import (
	"context"
	"io"

	"github.com/weightwarden/weightwarden/internal/assess"
	"github.com/weightwarden/weightwarden/internal/collect"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// volatile lists what is captured before the model, in the order of RFC 3227:
// what disappears first comes first. The clock comes before all of it, because
// every other item carries a time.
func (s *session) volatile(m config.Model) []assess.Source {
	const proc = "/proc"
	return []assess.Source{
		{Type: "system", Origin: proc, Collect: func(context.Context) (any, []string, error) {
			value, missing := collect.ReadSystem(proc, s.Now(), fsop.ClockNote())
			return value, missing, nil
		}},
		{Type: "processes", Origin: proc, Collect: func(ctx context.Context) (any, []string, error) {
			r, err := collect.Processes(ctx, proc, m.Path)
			return r, r.Missing, err
		}},
		{Type: "mappings", Origin: proc, Collect: func(ctx context.Context) (any, []string, error) {
			return three(collect.Mappings(ctx, proc, m.Path))
		}},
		{Type: "sockets", Origin: proc + "/net", Collect: func(ctx context.Context) (any, []string, error) {
			r, err := collect.Sockets(ctx, proc)
			return r, r.Missing, err
		}},
		{Type: "held_file", Origin: proc, Files: func(ctx context.Context) ([]assess.Held, []string, error) {
			return heldFiles(ctx, proc, m.Path)
		}},
		{Type: "temporary_files", Origin: "tmpfs", Collect: func(ctx context.Context) (any, []string, error) {
			mounts, _, err := collect.Mounts(proc)
			if err != nil {
				return nil, nil, err
			}
			return three(collect.Temporary(ctx, mounts))
		}},
		{Type: "mounts", Origin: proc + "/self/mountinfo", Collect: func(context.Context) (any, []string, error) {
			return three(collect.Mounts(proc))
		}},
	}
}

// lasting lists what is captured behind the model.
func (s *session) lasting(m config.Model) []assess.Source {
	return []assess.Source{
		{Type: "packages", Origin: "site-packages", Collect: s.packages},
		{Type: "system_packages", Origin: "/var/lib/dpkg, /lib/apk", Collect: func(context.Context) (any, []string, error) {
			return three(collect.SystemPackages("/"))
		}},
		{Type: "units", Origin: "systemd, cron", Collect: func(ctx context.Context) (any, []string, error) {
			return three(collect.Units(ctx, collect.UnitDirs(), m.Path))
		}},
		{Type: "logs", Origin: "/var/log", Collect: func(ctx context.Context) (any, []string, error) {
			return three(collect.Logs(ctx, []string{"/var/log"}, m.Path))
		}},
	}
}

// three makes a value of any type one of none.
func three[T any](value T, missing []string, err error) (any, []string, error) {
	return value, missing, err
}

func heldFiles(ctx context.Context, proc, path string) ([]assess.Held, []string, error) {
	found, missing, err := collect.HeldFiles(ctx, proc, path)
	held := make([]assess.Held, 0, len(found))
	for _, h := range found {
		held = append(held, assess.Held{Name: h.Name(), Origin: h.Origin(), Open: func() (io.ReadCloser, error) { return h.Open() }})
	}
	return held, missing, err
}
