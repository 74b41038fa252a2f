package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// memory is what the agent knows over a restart.
type memory struct {
	// Active holds what the last cycle found, by indicator id.
	Active map[string]sign `json:"active"`
	// Pending are the alerts of the last cycle.
	Pending []pending `json:"pending,omitempty"`
}

// sign is an indicator that is there, and since when without a break.
type sign struct {
	Since  time.Time      `json:"since"`
	Type   indicator.Type `json:"type"`
	Source string         `json:"source"`
	File   string         `json:"file,omitempty"`
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

// update returns the memory after a cycle, and what is new in it.
func (m memory) update(r *check.Report) (memory, []indicator.Indicator) {
	now, fresh := memory{Active: map[string]sign{}}, []indicator.Indicator{}
	for _, i := range r.Indicators {
		s, known := m.Active[i.ID]
		if _, twice := now.Active[i.ID]; !known && !twice {
			s = sign{Since: r.CheckTime, Type: i.Type, Source: i.Source, File: i.File()}
			fresh = append(fresh, i)
		}
		now.Active[i.ID] = s
	}
	for id, s := range m.Active {
		if _, seen := now.Active[id]; !seen && s.hidden(r.Indicators) {
			now.Active[id] = s
		}
	}
	return now, fresh
}

// hidden reports whether the sign could not be looked for.
func (s sign) hidden(found []indicator.Indicator) bool {
	for _, i := range found {
		if i.Class() != indicator.Incomplete || i.ID == "" {
			continue
		}
		if i.Source == source && i.Type == indicator.CheckFailed && s.Source != source {
			return true // no cycle took place
		}
		if i.Source == s.Source && s.behaviour() == (sign{Type: i.Type}).behaviour() && above(i.File(), s.File) {
			return true
		}
	}
	return false
}

// behaviour tells what is found in outputs from what is found in files: that
// one of both could not be read says nothing about the other.
func (s sign) behaviour() bool { return strings.HasPrefix(string(s.Type), "behavior_") }

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

func (a *Agent) recall(ctx context.Context) (memory, error) {
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
	was, err := json.Marshal(before)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(now)
	if err != nil || bytes.Equal(was, doc) {
		return err
	}
	return a.Memory.Put(ctx, memoryKind, memoryName, doc, at)
}
