package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// memory is what the agent knows over a restart.
type memory struct {
	// Active holds what is there, by indicator id.
	Active map[string]sign `json:"active"`
	// Pending are the alerts of the last look.
	Pending []pending `json:"pending,omitempty"`
}

// sign is an indicator that is there, and since when without a break.
type sign struct {
	Since       time.Time        `json:"since"`
	Type        indicator.Type   `json:"type"`
	Source      string           `json:"source"`
	File        string           `json:"file,omitempty"`
	Severity    finding.Severity `json:"severity,omitempty"`
	Description string           `json:"description,omitempty"`
	// Incident is the one that was declared because of it.
	Incident string `json:"incident,omitempty"`
}

// pending is an alert that may not be in the outbox yet.
type pending struct {
	Key     string          `json:"key"`
	Payload json.RawMessage `json:"payload"`
	At      time.Time       `json:"at"`
	// Group and Priority are those of package outbox.
	Group    string `json:"group,omitempty"`
	Priority int    `json:"priority,omitempty"`
}

// thread is what one indicator after another may be about: that a file is now
// tampered with in another way is news about the same trouble.
type thread struct {
	kind         indicator.Type
	source, file string
}

func (s sign) thread() thread { return thread{s.Type, s.Source, s.File} }

// update returns the memory after a look, and what changed with it.
func (m memory) update(r *check.Report, l look) (memory, Change) {
	now, fresh := memory{Active: map[string]sign{}}, []indicator.Indicator{}
	for _, i := range r.Indicators {
		s, known := m.Active[i.ID]
		if _, twice := now.Active[i.ID]; !known && !twice {
			s = sign{
				Since: r.CheckTime, Type: i.Type, Source: i.Source, File: i.File(),
				Severity: i.Severity, Description: i.Description,
			}
			fresh = append(fresh, i)
		}
		now.Active[i.ID] = s
	}
	gone := map[thread][]string{}
	for _, id := range slices.Sorted(maps.Keys(m.Active)) {
		s := m.Active[id]
		if _, seen := now.Active[id]; seen {
			continue
		}
		if !l.covers(s) || s.hidden(r.Indicators) {
			now.Active[id] = s
			continue
		}
		gone[s.thread()] = append(gone[s.thread()], id)
	}
	c := changeOf(r, nil)
	for _, i := range fresh {
		s := now.Active[i.ID]
		old := gone[s.thread()]
		if len(old) == 0 || s.File == "" {
			c.New = append(c.New, i)
			continue
		}
		gone[s.thread()] = old[1:]
		s.Since, s.Incident = m.Active[old[0]].Since, m.Active[old[0]].Incident
		now.Active[i.ID] = s
		c.Updated = append(c.Updated, i)
	}
	for _, id := range slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(gone))...))) {
		c.Resolved = append(c.Resolved, m.Active[id].indicator(id, r.CheckTime))
	}
	c.Open = map[string]int{}
	for _, s := range now.Active {
		c.Open[s.Source]++
	}
	return now, c
}

// indicator is the sign as it was told.
func (s sign) indicator(id string, at time.Time) indicator.Indicator {
	i := indicator.New(s.Type, s.Source, at, s.Description, map[string]any{"since": s.Since.UTC().Format(time.RFC3339)})
	if s.File != "" {
		i.Evidence["file"] = s.File
	}
	i.ID, i.Severity = id, cmp.Or(s.Severity, i.Severity)
	return i
}

// hidden reports whether the sign could not be looked for.
func (s sign) hidden(found []indicator.Indicator) bool {
	for _, i := range found {
		if i.Type == indicator.RecordAltered && i.Source == trust.Log && s.Source != trust.Log {
			return true // nothing was compared with anything
		}
		if i.Class() != indicator.Incomplete || i.ID == "" {
			continue
		}
		if i.Source == source && i.Type == indicator.CheckFailed && s.Source != source {
			return true // no cycle took place
		}
		if i.Source == s.Source && behaviour(s.Type) == behaviour(i.Type) && above(i.File(), s.File) && s.Source != source {
			return true
		}
	}
	return false
}

// behaviour tells what is found in outputs from what is found in files: that
// one of both could not be read says nothing about the other.
func behaviour(t indicator.Type) bool { return strings.HasPrefix(string(t), "behavior_") }

// above reports whether what could not be read at dir may be the reason that
// nothing was seen at file: it is the same path, above it, or everything.
func above(dir, file string) bool {
	return dir == "" || dir == file || strings.HasPrefix(file, dir+"/")
}

// Where the memory is kept.
const (
	memoryKind = "watch"
	memoryName = "active"
)

// recall returns the memory, which is read once.
func (a *Agent) recall(ctx context.Context) (memory, error) {
	if a.memory != nil {
		return *a.memory, nil
	}
	doc, _, err := a.Memory.Get(ctx, memoryKind, memoryName)
	if k := fault.KindOf(err); err != nil && (k == fault.NotFound || k == fault.Untrusted) {
		return memory{}, nil // nothing to rely on: everything is new
	} else if err != nil {
		return memory{}, err
	}
	var m memory
	if err := json.Unmarshal(doc, &m); err != nil {
		return memory{}, nil //nolint:nilerr // unreadable memory is no memory: everything is new
	}
	return m, nil
}

// remember stores the memory where it has changed: every version is kept.
func (a *Agent) remember(ctx context.Context, before, now memory, at time.Time) error {
	if len(now.Pending) == 0 {
		before.Pending = nil // the outbox has them, and takes them only once
	}
	was, err := json.Marshal(before)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if !bytes.Equal(was, doc) {
		if err := a.Memory.Put(ctx, memoryKind, memoryName, doc, at); err != nil {
			return err
		}
		a.unsynced, a.queued = true, false
	}
	a.memory = &now
	return nil
}
