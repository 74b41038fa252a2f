package config

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/approval"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// Approvals says who takes part in a response, and what needs whose approval
// (approvals). Without people a single person may do everything.
type Approvals struct {
	approval.Roster
	// KeyFiles are files with further keys, by the name of the person.
	KeyFiles map[string][]string
}

// Response bounds what is done at once, and says how long it is watched
// (response).
type Response struct {
	// ReplicasPerMinute is how many serving processes may be touched in a
	// minute; 0 is no limit (replicas_per_minute).
	ReplicasPerMinute int
	// ModelsPercent is how much of the configured models may be isolated at
	// once; 0 is no limit (models_percent).
	ModelsPercent int
	// Settle is how long everything is looked at again after the last step;
	// nil leaves it to the program (settle_seconds).
	Settle *time.Duration
}

// AutoContain is a policy by which models are contained without a person
// (auto_contain).
type AutoContain struct {
	Name string
	// Models are ids; none is all of them (models).
	Models []string
	// Severity is the least one that counts, critical by default (severity).
	Severity finding.Severity
	// Actions are what may be done; "isolate" is the only one that can be
	// taken back (actions).
	Actions []string
	// Mode is "move" or "mark", as incident isolate has it (mode).
	Mode string
	// Expires is when the policy ends (expires).
	Expires time.Time
	// PerHour is how many models may be contained within an hour, 1 by
	// default (max_per_hour).
	PerHour int
}

func (r *reader) approvals(n *yaml.Node, at string) Approvals {
	a := Approvals{KeyFiles: map[string][]string{}}
	before := len(r.mistakes)
	r.mapping(n, at, map[string]field{
		"ttl": func(n *yaml.Node, at string) {
			a.TTL = int64(r.duration(n, at, time.Minute, 7*24*time.Hour).Seconds())
		},
		"executor_differs": func(n *yaml.Node, at string) { a.ExecutorDiffers = r.boolean(n, at) },
		"required":         func(n *yaml.Node, at string) { a.Required = r.required(n, at) },
		"people": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) { r.person(n, at, &a) })
		},
	})
	if len(r.mistakes) > before {
		return a
	}
	switch approvers := a.Approvers(); {
	case a.Empty():
		r.wrong(n.Line, at, "names no people: leave the section out, and one person may do everything")
	case len(approvers) == 0:
		r.wrong(n.Line, at, "none of the people is an approver, so nothing could be approved")
	default:
		for action, needs := range a.Required {
			if needs > len(approvers) {
				r.wrong(n.Line, at, "%s asks for %d approvals and there are %d approvers", action, needs, len(approvers))
			}
		}
	}
	return a
}

// required reads how many approvals actions need.
func (r *reader) required(n *yaml.Node, at string) map[string]int {
	fields, out := map[string]field{}, map[string]int{}
	for _, action := range approval.Actions() {
		least := int64(0)
		if slices.Contains(approval.Always(), action) {
			least = 1
		}
		fields[action] = func(n *yaml.Node, at string) { out[action] = int(r.whole(n, at, least, approval.MaxApprovals)) }
	}
	r.mapping(n, at, fields)
	return out
}

func (r *reader) person(n *yaml.Node, at string, a *Approvals) {
	var p approval.Person
	var files []string
	before := len(r.mistakes)
	r.mapping(n, at, map[string]field{
		"name":  func(n *yaml.Node, at string) { p.Name = r.text(n, at) },
		"roles": func(n *yaml.Node, at string) { p.Roles = r.roles(n, at) },
		"user":  func(n *yaml.Node, at string) { p.Users = append(p.Users, r.text(n, at)) },
		"users": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) { p.Users = append(p.Users, r.text(n, at)) })
		},
		"keys": func(n *yaml.Node, at string) {
			r.list(n, at, func(n *yaml.Node, at string) {
				k, err := approval.ParseKey(r.text(n, at))
				if err != nil {
					r.wrong(n.Line, at, "want a public key as in a .pub file of ssh-keygen -t ed25519")
					return
				}
				p.Keys = append(p.Keys, k)
			})
		},
		"key_files": func(n *yaml.Node, at string) { files = r.paths(n, at) },
	})
	if len(r.mistakes) > before {
		return
	}
	if text := r.personMistake(p, files, a); text != "" {
		r.wrong(n.Line, at, "%s", text)
		return
	}
	a.People = append(a.People, p)
	if len(files) > 0 {
		a.KeyFiles[p.Name] = files
	}
}

func (r *reader) personMistake(p approval.Person, files []string, a *Approvals) string {
	_, twice := a.Named(p.Name)
	switch {
	case p.Name == "" || len(p.Name) > 80 || strings.TrimSpace(p.Name) != p.Name:
		return "want a name of up to 80 bytes"
	case twice:
		return "the name is given twice"
	case len(p.Roles) == 0:
		return "roles is missing"
	case slices.Contains(p.Users, ""):
		return "the name of a user is empty"
	case len(p.Users)+len(p.Keys)+len(files) == 0:
		return "needs user, keys or key_files, to know who it is"
	case p.Has(approval.Approver) && len(p.Keys)+len(files) == 0:
		return "an approver needs keys or key_files: approvals are signed"
	}
	for _, q := range a.People {
		if slices.ContainsFunc(p.Users, func(u string) bool { return slices.Contains(q.Users, u) }) {
			return "has a user that is " + q.Name + "'s already"
		}
		if slices.ContainsFunc(p.Keys, func(k approval.Key) bool { return slices.ContainsFunc(q.Keys, k.Equal) }) {
			return "has a key that is " + q.Name + "'s already"
		}
	}
	return ""
}

func (r *reader) roles(n *yaml.Node, at string) (roles []approval.Role) {
	r.list(n, at, func(n *yaml.Node, at string) {
		role := approval.Role(r.text(n, at))
		if !slices.Contains(approval.Roles(), role) {
			r.wrong(n.Line, at, "no role %.40q: want viewer, responder, commander, approver or legal", role)
			return
		}
		roles = append(roles, role)
	})
	return roles
}

func (r *reader) response(n *yaml.Node, at string) Response {
	var out Response
	r.mapping(n, at, map[string]field{
		"replicas_per_minute": func(n *yaml.Node, at string) { out.ReplicasPerMinute = int(r.whole(n, at, 1, 1<<20)) },
		"models_percent":      func(n *yaml.Node, at string) { out.ModelsPercent = int(r.whole(n, at, 1, 100)) },
		"settle_seconds": func(n *yaml.Node, at string) {
			d := time.Duration(r.whole(n, at, 0, 3600)) * time.Second
			out.Settle = &d
		},
	})
	return out
}

func (r *reader) autoContain(n *yaml.Node, at string) (out []AutoContain) {
	r.list(n, at, func(n *yaml.Node, at string) {
		before := len(r.mistakes)
		p := AutoContain{Severity: finding.Critical, Mode: "move", PerHour: 1}
		r.mapping(n, at, map[string]field{
			"name": func(n *yaml.Node, at string) { p.Name = r.id(n, at) },
			"models": func(n *yaml.Node, at string) {
				r.list(n, at, func(n *yaml.Node, at string) { p.Models = append(p.Models, r.id(n, at)) })
			},
			"severity":     func(n *yaml.Node, at string) { p.Severity = r.severity(n, at) },
			"actions":      func(n *yaml.Node, at string) { p.Actions = r.choices(n, at, "isolate") },
			"mode":         func(n *yaml.Node, at string) { p.Mode = r.choice(n, at, "move", "mark") },
			"expires":      func(n *yaml.Node, at string) { p.Expires = r.date(n, at) },
			"max_per_hour": func(n *yaml.Node, at string) { p.PerHour = int(r.whole(n, at, 1, 1000)) },
		})
		if len(r.mistakes) == before && (p.Name == "" || len(p.Actions) == 0 || p.Expires.IsZero()) {
			r.wrong(n.Line, at, "needs name, actions and expires")
		}
		out = append(out, p)
	})
	return out
}

func (r *reader) choices(n *yaml.Node, at string, of ...string) (out []string) {
	r.list(n, at, func(n *yaml.Node, at string) { out = append(out, r.choice(n, at, of...)) })
	return out
}

func (r *reader) choice(n *yaml.Node, at string, of ...string) string {
	v := r.text(n, at)
	if !slices.Contains(of, v) {
		r.wrong(n.Line, at, "want %s", strings.Join(of, " or "))
	}
	return v
}

// date reads a moment, or a day, which ends the policy when it begins.
func (r *reader) date(n *yaml.Node, at string) time.Time {
	if !r.scalar(n, at, "a date", "!!str", "!!timestamp") {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, n.Value); err == nil {
			return t.UTC()
		}
	}
	r.wrong(n.Line, at, "want a date as 2027-01-31, or a time as 2027-01-31T00:00:00Z")
	return time.Time{}
}

// policies checks policies against each other and against the models.
func (r *reader) policies(c *Config) {
	for n, p := range c.AutoContain {
		at := "auto_contain[" + p.Name + "]"
		if slices.ContainsFunc(c.AutoContain[:n], func(q AutoContain) bool { return q.Name == p.Name }) {
			r.wrong(0, at, "the name is given twice")
		}
		for _, id := range p.Models {
			if _, ok := c.Model(id); !ok && id != "" {
				r.wrong(0, at, "there is no model %.80q", id)
			}
		}
	}
}
