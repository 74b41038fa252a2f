package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/egress"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/catalog"
)

// GuideReceiver is the name of the receiver behind alert_webhook.
const GuideReceiver = "alert_webhook"

// The bounds of delivery.
const (
	maxGiveUp    = 30 * 24 * time.Hour
	maxPending   = 1_000_000
	maxReceivers = 50
)

func (r *reader) alerts(n *yaml.Node, at string, a *Alerts) {
	before := len(r.mistakes)
	lines := map[string]int{}
	routes := &yaml.Node{}
	r.mapping(n, at, map[string]field{
		"min_severity": func(n *yaml.Node, at string) { a.MinSeverity = r.severity(n, at) },
		"receivers": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) {
				if c, ok := r.receiver(n, at, lines); ok {
					a.Receivers = append(a.Receivers, c)
				}
			})
		},
		"routes": func(n *yaml.Node, at string) {
			routes = n
			r.list(n, at, func(n *yaml.Node, at string) { a.Routes = append(a.Routes, r.alertRoute(n, at)) })
		},
		"give_up_after":         func(n *yaml.Node, at string) { a.GiveUpAfter = r.duration(n, at, time.Minute, maxGiveUp) },
		"refused_give_up_after": func(n *yaml.Node, at string) { a.RefusedGiveUpAfter = r.duration(n, at, time.Second, maxGiveUp) },
		"max_pending":           func(n *yaml.Node, at string) { a.MaxPending = int(r.whole(n, at, 100, maxPending)) },
		"heartbeat":             func(n *yaml.Node, at string) { a.Heartbeat = r.heartbeat(n, at) },
	})
	if len(a.Receivers) > maxReceivers {
		r.wrong(n.Line, at, "%d receivers, at most %d are allowed", len(a.Receivers), maxReceivers)
	}
	if len(r.mistakes) > before {
		return
	}
	for i, route := range a.Routes {
		for _, name := range route.Receivers {
			if lines[name] == 0 {
				r.wrong(routes.Content[i].Line, fmt.Sprintf("%s.routes[%d]", at, i), "no receiver %s under alerts.receivers%s",
					artifact.Quote(name), suggest(name, lines))
			}
		}
	}
}

func (r *reader) severity(n *yaml.Node, at string) finding.Severity {
	if !r.scalar(n, at, "text", "!!str") {
		return 0
	}
	s, err := finding.ParseSeverity(n.Value)
	if err != nil {
		r.wrong(n.Line, at, "%v", err)
	}
	return s
}

// duration reads a time such as 90s or 24h, between two bounds.
func (r *reader) duration(n *yaml.Node, at string, least, most time.Duration) time.Duration {
	if !r.scalar(n, at, "a time such as 24h", "!!str") {
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < least || d > most {
		r.wrong(n.Line, at, "want a time from %s to %s, as 24h", short(least), short(most))
		return 0
	}
	return d
}

func short(d time.Duration) string {
	text := d.String()
	for _, tail := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, tail) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// receiver reads one receiver. Its kind decides on the other keys.
func (r *reader) receiver(n *yaml.Node, at string, lines map[string]int) (Receiver, bool) {
	var c Receiver
	if !r.is(n, yaml.MappingNode, at, "a mapping") {
		return c, false
	}
	before := len(r.mistakes)
	fields := map[string]field{
		"name": func(n *yaml.Node, at string) { c.Name = r.receiverName(n, at, lines) },
		"type": func(n *yaml.Node, at string) { c.Kind = r.text(n, at) },
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key, value := n.Content[i], n.Content[i+1]; key.Value == "type" && value.Kind == yaml.ScalarNode {
			c.Config, _ = catalog.New(value.Value)
			if c.Config == nil {
				r.wrong(value.Line, join(at, "type"), "no such type of receiver: want one of %s", strings.Join(catalog.Names(), ", "))
				return c, false
			}
		}
	}
	if c.Config == nil {
		r.wrong(n.Line, at, "type is missing: one of %s", strings.Join(catalog.Names(), ", "))
		return c, false
	}
	for key, into := range c.Config.Keys() {
		fields[key] = r.into(into)
	}
	r.mapping(n, at, fields)
	if len(r.mistakes) > before {
		return c, false
	}
	if c.Name == "" {
		r.wrong(n.Line, at, "name is missing")
		return c, false
	}
	if err := c.Config.Check(); err != nil {
		r.wrong(n.Line, at, "%v", err)
		return c, false
	}
	return c, true
}

func (r *reader) receiverName(n *yaml.Node, at string, lines map[string]int) string {
	name := r.id(n, at)
	switch {
	case name == "":
	case name == GuideReceiver:
		r.wrong(n.Line, at, "%s is the receiver of the key of that name: choose another name", name)
	case lines[name] > 0:
		r.wrong(n.Line, at, "given twice, first in line %d", lines[name])
	default:
		lines[name] = n.Line
	}
	return name
}

// into returns the field that reads into a variable of a transport.
func (r *reader) into(v any) field {
	return func(n *yaml.Node, at string) {
		switch v := v.(type) {
		case *string:
			*v = r.block(n, at)
		case *bool:
			*v = r.boolean(n, at)
		case *int:
			*v = int(r.whole(n, at, 0, 1<<30))
		case *time.Duration:
			*v = r.duration(n, at, 100*time.Millisecond, 5*time.Minute)
		case *[]string:
			r.list(n, at, func(n *yaml.Node, at string) { *v = append(*v, r.text(n, at)) })
		case *egress.Path:
			*v = egress.Path(r.path(n, at))
		case *notify.Secret:
			*v = r.secret(n, at)
		case *map[string]string:
			*v = map[string]string{}
			r.entries(n, at, func(key, value *yaml.Node, at string) { (*v)[key.Value] = r.text(value, at) })
		case *map[string]notify.Secret:
			*v = map[string]notify.Secret{}
			r.entries(n, at, func(key, value *yaml.Node, at string) { (*v)[key.Value] = r.secret(value, at) })
		default:
			r.wrong(n.Line, at, "cannot be configured: this is a mistake of the program")
		}
	}
}

// block reads a text that may have line breaks: a template.
func (r *reader) block(n *yaml.Node, at string) string {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "\n") && n.ShortTag() == "!!str" {
		if len(n.Value) > 1<<16 {
			r.wrong(n.Line, at, "%d bytes long, at most %d are allowed", len(n.Value), 1<<16)
			return ""
		}
		return n.Value
	}
	return r.text(n, at)
}

// secret reads a value that is written out, or {file: PATH}, or {env: NAME}.
// No message shows it.
func (r *reader) secret(n *yaml.Node, at string) notify.Secret {
	if n.Kind != yaml.MappingNode {
		value := r.text(n, at)
		if value == "" {
			return notify.Secret{}
		}
		return notify.Inline(value)
	}
	var s notify.Secret
	given := 0
	r.mapping(n, at, map[string]field{
		"file": func(n *yaml.Node, at string) {
			if p := r.path(n, at); p != "" {
				s = notify.FromFile(p)
			}
			given++
		},
		"env": func(n *yaml.Node, at string) {
			if name := r.text(n, at); name != "" && !strings.ContainsAny(name, "= ") {
				s = notify.FromEnv(name)
			} else {
				r.wrong(n.Line, at, "want the name of an environment variable")
			}
			given++
		},
	})
	if given != 1 {
		r.wrong(n.Line, at, "want one of file and env")
	}
	return s
}

func (r *reader) alertRoute(n *yaml.Node, at string) Route {
	var route Route
	before := len(r.mistakes)
	r.mapping(n, at, map[string]field{
		"receivers": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) {
				if name := r.text(n, at); name != "" && !slices.Contains(route.Receivers, name) {
					route.Receivers = append(route.Receivers, name)
				}
			})
		},
		"min_severity":    func(n *yaml.Node, at string) { route.MinSeverity = r.severity(n, at) },
		"critical_models": func(n *yaml.Node, at string) { route.CriticalModels = r.boolean(n, at) },
		"resolved":        func(n *yaml.Node, at string) { route.Unresolved = !r.boolean(n, at) },
		"models": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) {
				pattern := r.text(n, at)
				if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
					r.wrong(n.Line, at, "want the id of a model, in which * stands for any characters")
				}
				if pattern != "" && !strings.ContainsAny(pattern, "*?[\\") {
					r.routed = append(r.routed, routed{n.Line, at, pattern})
				}
				route.Models = append(route.Models, pattern)
			})
		},
	})
	if len(r.mistakes) == before && len(route.Receivers) == 0 {
		r.wrong(n.Line, at, "receivers is missing: who gets these alerts")
	}
	return route
}

func (r *reader) heartbeat(n *yaml.Node, at string) *Heartbeat {
	h := &Heartbeat{Interval: time.Minute}
	before := len(r.mistakes)
	fields := map[string]field{
		"url":              func(n *yaml.Node, at string) { h.URL = r.secret(n, at) },
		"interval_seconds": func(n *yaml.Node, at string) { h.Interval = r.interval(n, at) },
	}
	for key, into := range h.AddKeys(map[string]any{}) {
		fields[key] = r.into(into)
	}
	r.mapping(n, at, fields)
	if problem := notify.URL("url", h.URL, true); len(r.mistakes) == before && problem != "" {
		r.wrong(n.Line, at, "%s", problem)
	}
	return h
}

// routed is a model that a route names.
type routed struct {
	line   int
	at, id string
}

// routedModels refuses routes for models that there are not: their alerts
// would go nowhere.
func (r *reader) routedModels(c *Config) {
	known := map[string]bool{}
	for _, m := range c.Models {
		known[m.ID] = true
	}
	for _, m := range r.routed {
		if !known[m.id] {
			r.wrong(m.line, m.at, "no model %s under models%s", artifact.Quote(m.id), suggest(m.id, known))
		}
	}
}

func (r *reader) operations(n *yaml.Node, at string) Operations {
	var o Operations
	r.mapping(n, at, map[string]field{
		"listen": func(n *yaml.Node, at string) { o.Listen, _ = r.listen(n, at) },
		"pprof": func(n *yaml.Node, at string) {
			var host string
			if o.Pprof, host = r.listen(n, at); o.Pprof == "" {
				return
			}
			if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
				r.wrong(n.Line, at, "want an address of this machine only, as 127.0.0.1:6060: profiles tell what is in memory")
			}
		},
	})
	return o
}

// listen reads HOST:PORT to listen at.
func (r *reader) listen(n *yaml.Node, at string) (address, host string) {
	text := r.text(n, at)
	if text == "" {
		return "", ""
	}
	host, port, err := net.SplitHostPort(text)
	number, err2 := strconv.ParseUint(port, 10, 16)
	if _, err3 := netip.ParseAddr(host); err != nil || err2 != nil || host != "" && err3 != nil {
		r.wrong(n.Line, at, "want an IP address and a port, as 127.0.0.1:%d", cmp.Or(number, 9464))
		return "", ""
	}
	return text, host
}
