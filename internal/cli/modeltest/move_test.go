//go:build linux

package modeltest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// move is one thing that somebody does: an operator with a command, or an
// outsider with the files. A list of moves, as JSON, is all that it takes to
// tell a story again.
type move struct {
	By  string `json:"by,omitempty"`
	Do  string `json:"do"`
	Arg string `json:"arg,omitempty"`
	// Case is which of the site's incidents it is about.
	Case int  `json:"case,omitempty"`
	Blow blow `json:"blow,omitzero"`
	// With is what somebody else does at the same time.
	With *move `json:"with,omitempty"`
	// Apart runs the command in a process of its own.
	Apart bool `json:"apart,omitempty"`
}

func (m move) String() string {
	text := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", m.By, m.Do, m.Arg)), " ")
	if m.Case > 0 {
		text += fmt.Sprintf(" (incident %d)", m.Case+1)
	}
	text += m.Blow.String()
	if m.Apart {
		text += " in a process of its own"
	}
	if m.With != nil {
		text += "  at the same time as: " + m.With.String()
	}
	return text
}

func encode(moves []move) string {
	text, err := json.Marshal(moves)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// commands are what operators do, with the words of the command line; ID is
// the incident, ARG the move's argument.
var commands = map[string]string{
	"assess":   "incident assess ID",
	"plan":     "incident isolate ID",
	"isolate":  "incident isolate ID --apply",
	"mark":     "incident isolate ID --apply --mode mark",
	"rollback": "incident rollback ID --apply",
	"to":       "incident rollback ID --apply --to ARG",
	"undo":     "incident undo ID --apply",
	"undo one": "incident undo ID ARG --apply",
	"approve":  "incident approve ID --plan PLAN --key KEY",
	"resume":   "incident resume ID",
	"waive":    "incident waive ID --reason why",
	"note":     "incident note ID ARG",
	"bad at":   "incident fact ID first_bad_at ARG",
	"hold":     "incident hold ID --reason law",
	"release":  "incident hold ID --release --reason law",
	"close":    "incident close ID --resolution done",
	"deny":     "deny add root ARG --reason test",
	"allow":    "deny remove root ARG --reason test",
	"show":     "incident show ID",
	"clocks":   "incident clocks ID",
	"verify":   "incident verify ID",
	"open":     "incident open --from-check CHECK",
}

// looking are the commands that change nothing.
var looking = map[string]bool{"plan": true, "show": true, "clocks": true, "verify": true}

// outsider are the moves of somebody who does not use the program.
var outsider = map[string]bool{"touch": true, "edit": true, "remove": true, "break": true}

// weights say how often each thing is done.
var weights = []struct {
	do     string
	weight int
}{
	{"isolate", 20},
	{"rollback", 18},
	{"to", 8},
	{"undo", 16},
	{"undo one", 8},
	{"resume", 16},
	{"mark", 4},
	{"note", 5},
	{"bad at", 4},
	{"deny", 3},
	{"allow", 3},
	{"waive", 2},
	{"hold", 2},
	{"release", 2},
	{"close", 2},
	{"approve", 2},
	{"plan", 2},
	{"show", 2},
	{"clocks", 1},
	{"verify", 1},
	{"open", 2},
	{"assess", 1},
	{"touch", 2},
	{"edit", 2},
	{"remove", 1},
	{"break", 1},
}

var operators = []string{"ana@host", "ben@host", "eve@host"}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// sequence makes a story from a seed. Where the evidence is not sealed yet,
// that is among the first things that happen, most of the time.
func sequence(r *rand.Rand, assessed, people bool) []move {
	var out []move
	for range 3 + r.IntN(8) {
		m := random(r)
		out = append(out, m)
		if people && r.IntN(10) < 7 && slices.Contains([]string{"rollback", "to", "undo", "undo one"}, m.Do) {
			again := m // the first try asked for it
			again.Blow, again.Apart, again.With = blow{}, false, nil
			out = append(out, move{By: pick(r, operators), Do: "approve", Case: m.Case, Blow: someBlow(r, 10)}, again)
		}
	}
	if !assessed && r.IntN(5) > 0 {
		out[r.IntN(3)] = move{By: pick(r, operators), Do: "assess", Blow: someBlow(r, 120)}
	}
	return out
}

func random(r *rand.Rand) move {
	total := 0
	for _, w := range weights {
		total += w.weight
	}
	n := r.IntN(total)
	for _, w := range weights {
		if n -= w.weight; n < 0 {
			return one(r, w.do)
		}
	}
	panic("unreachable")
}

func one(r *rand.Rand, do string) move {
	m := move{Do: do}
	switch do {
	case "to", "deny", "allow", "break":
		m.Arg = pick(r, []string{"m-v1", "m-v2", "m-v3", "m-v4"})
	case "undo one":
		m.Arg = pick(r, []string{"deny", "prepare", "exchange", "stage", "baseline", "mark"})
	case "note":
		m.Arg = fmt.Sprintf("note-%d", r.Uint32())
	case "bad at":
		m.Arg = begin.AddDate(0, 0, -pick(r, []int{20, 7, 0})).Format("2006-01-02T15:04:05Z")
	}
	if outsider[do] {
		return m
	}
	m.By = pick(r, operators)
	if r.IntN(8) == 0 {
		m.Case = 1
	}
	if looking[do] {
		return m
	}
	if m.Blow = someBlow(r, 30); m.Blow.How != "" {
		m.Apart = m.Blow.How == "kill" || r.IntN(20) == 0
	} else if r.IntN(12) == 0 {
		other := one(r, pick(r, []string{"isolate", "rollback", "undo", "resume", "to", "note"}))
		other.Blow, other.With, other.Apart = blow{}, nil, false
		m.With = &other
	}
	return m
}

// someBlow makes something go wrong in four of ten commands.
func someBlow(r *rand.Rand, looks int) blow {
	b := blow{At: 1 + r.IntN(looks)}
	switch n := r.IntN(100); {
	case n < 20:
		b.How, b.Class, b.Where = "fail", pick(r, classes), pick(r, places)
		b.Errno = pick(r, []string{"ENOSPC", "EIO", "EPERM"})
	case n < 36:
		b.How = "crash"
	case n < 40:
		b.How = "kill"
	default:
		return blow{}
	}
	return b
}

// words are the arguments of the command line for a move.
func (s *story) words(m move) []string {
	if m.Case >= len(s.incidents) {
		m.Case = 0
	}
	arg := m.Arg
	if m.Do == "deny" || m.Do == "allow" {
		arg = s.versions[m.Arg].root
	}
	words := strings.Fields(commands[m.Do])
	for n, w := range words {
		switch w {
		case "ID":
			words[n] = s.incidents[m.Case]
		case "PLAN":
			words[n] = s.requested(s.incidents[m.Case])
		case "KEY":
			words[n] = s.path("ben.pem")
		case "ARG":
			words[n] = arg
		case "CHECK":
			words[n] = s.path("check.json")
		}
	}
	return words
}
