package hunt

import (
	"encoding/binary"
	"strings"
)

// matcher finds the literals of all rules in one pass. It looks at every
// second byte pair only: of each literal the pairs at anchor and anchor+1 are
// in the table, and one of them starts at an even place wherever the literal
// stands. Literals are checked in full at the places that the table lets
// through.
type matcher struct {
	// pairs maps two bytes, the first one low, to the buckets of literals that hold them.
	pairs    [1 << 16]uint8
	literals []literal
	longest  int
}

type literal struct {
	text   string // in lower case
	word   bool
	anchor int
}

const buckets = 8

func newMatcher(rules []Rule) *matcher {
	m := &matcher{}
	for i, r := range rules {
		text := strings.ToLower(r.Literal)
		l := literal{text: text, word: r.Word, anchor: rarest(text)}
		m.literals = append(m.literals, l)
		m.longest = max(m.longest, len(text))
		for _, at := range []int{l.anchor, l.anchor + 1} {
			for _, first := range cases(text[at]) {
				for _, second := range cases(text[at+1]) {
					m.pairs[int(first)|int(second)<<8] |= 1 << (i % buckets)
				}
			}
		}
	}
	return m
}

// find calls hit for every literal in text that starts in [from, to), in the
// order of their anchors. The literal must lie in text as a whole.
func (m *matcher) find(text []byte, from, to int, hit func(rule, at int)) {
	end := min(to+m.longest, len(text))
	i := from &^ 1
	for ; i+8 <= end; i += 8 {
		// Four pairs at once: most text holds none of interest.
		w := binary.LittleEndian.Uint64(text[i:])
		if m.pairs[uint16(w)]|m.pairs[uint16(w>>16)]|m.pairs[uint16(w>>32)]|m.pairs[uint16(w>>48)] != 0 {
			for n := range 4 {
				m.check(text, i+2*n, from, to, hit)
			}
		}
	}
	for ; i+1 < end; i += 2 {
		m.check(text, i, from, to, hit)
	}
}

// check calls hit for the literals of which the pair at i is a part.
func (m *matcher) check(text []byte, i, from, to int, hit func(rule, at int)) {
	mask := m.pairs[uint16(text[i])|uint16(text[i+1])<<8]
	if mask == 0 {
		return
	}
	for n := range m.literals {
		if mask&(1<<(n%buckets)) == 0 {
			continue
		}
		l := &m.literals[n]
		for _, at := range [2]int{i - l.anchor, i - l.anchor - 1} {
			if at >= from && at < to && l.at(text, at) {
				hit(n, at)
			}
		}
	}
}

func (l *literal) at(text []byte, at int) bool {
	if at+len(l.text) > len(text) {
		return false
	}
	for i := range len(l.text) {
		if lower(text[at+i]) != l.text[i] {
			return false
		}
	}
	return !l.word || !insideWord(text[:at])
}

// insideWord reports whether a letter ends before. A letter that ends a colour
// code, or the escape of a line break in a quoted text, is none.
func insideWord(before []byte) bool {
	n := len(before)
	if n == 0 || !letter(before[n-1]) {
		return false
	}
	if n > 1 && before[n-2] == '\\' && strings.IndexByte("nrt", before[n-1]) >= 0 {
		return false
	}
	for i := n - 2; i >= 0 && n-i < 32; i-- {
		switch c := before[i]; {
		case c >= '0' && c <= '?':
		case c == '[':
			return i == 0 || before[i-1] != escape
		default:
			return true
		}
	}
	return true
}

func letter(c byte) bool { return lower(c) >= 'a' && lower(c) <= 'z' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func cases(c byte) []byte {
	if letter(c) {
		return []byte{c, c - 'a' + 'A'}
	}
	return []byte{c}
}

// common lists bytes by how often they stand in logs, the most frequent first.
const common = " e0at1oisrn2dlc:-/p3."

// rarest returns where the three bytes start that logs hold least often.
func rarest(text string) int {
	best, lowest := 0, 1<<30
	for at := 0; at+3 <= len(text); at++ {
		cost := 0
		for _, c := range []byte(text[at : at+3]) {
			if rank := strings.IndexByte(common, c); rank >= 0 {
				cost += len(common) - rank
			}
		}
		if cost < lowest {
			best, lowest = at, cost
		}
	}
	return best
}
