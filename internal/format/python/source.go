package python

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrLimit means that a source is larger than the limits.
var ErrLimit = errors.New("limit of the reader of Python source")

// Limits bound reading. A zero field has its default.
type Limits struct {
	// Bytes is the size of a source: 4 MiB. It is held in memory.
	Bytes int64
	// Uses is how many imports and calls are told: 100 000.
	Uses int
}

// Use is an import or a call in a source.
type Use struct {
	// Import says that Name is imported, not called.
	Import bool
	// Name is the dotted name, with the names that imports gave it replaced by
	// the module's own.
	Name   string
	Offset int64
	// Top says that it stands in no function, class or block.
	Top bool
}

// Uses reads a source and returns its imports and calls in their order. The
// reader follows tokens, not the grammar: what a name stands for is known only
// where an import says so.
func Uses(r io.Reader, lim Limits) ([]Use, error) {
	lim = Limits{cmp.Or(lim.Bytes, 4<<20), cmp.Or(lim.Uses, 100_000)}
	text, err := io.ReadAll(io.LimitReader(r, lim.Bytes+1))
	if err != nil {
		return nil, fmt.Errorf("read source: %w", err)
	}
	if int64(len(text)) > lim.Bytes {
		return nil, fmt.Errorf("more than %d bytes: %w", lim.Bytes, ErrLimit)
	}
	s := &source{text: string(text), lim: lim, names: map[string]string{}, start: true, top: true}
	for s.next() {
		if len(s.uses) > lim.Uses {
			return s.uses, fmt.Errorf("more than %d uses: %w", lim.Uses, ErrLimit)
		}
	}
	return s.uses, nil
}

// source is a text while it is read.
type source struct {
	text  string
	at    int
	lim   Limits
	names map[string]string // what imports called by another name
	uses  []Use
	depth int  // of brackets
	start bool // at the start of a statement
	top   bool // the line is not indented
	kept  int  // bytes of names
}

// next takes one token.
func (s *source) next() bool {
	if s.at >= len(s.text) {
		return false
	}
	switch c := s.text[s.at]; {
	case c == '\n':
		s.at++
		if s.depth == 0 {
			s.start, s.top = true, s.at < len(s.text) && s.text[s.at] != ' ' && s.text[s.at] != '\t'
		}
	case c == '\\' && s.at+1 < len(s.text):
		s.at += 2
	case c == '#':
		s.skipTo('\n')
	case c == '"' || c == '\'':
		s.str()
	case identifies(c) && (c < '0' || c > '9'):
		s.word()
	case strings.IndexByte("([{", c) >= 0:
		s.depth++
		s.at++
	case strings.IndexByte(")]}", c) >= 0:
		s.depth = max(0, s.depth-1)
		s.at++
	case c == ';' || c == ':':
		s.at++
		s.start = s.start || s.depth == 0
	case c == ' ' || c == '\t' || c == '\r' || c == '\f':
		s.at++
	default:
		s.at++
		s.start = false
	}
	return true
}

func identifies(c byte) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c >= 0x80
}

func (s *source) skipTo(c byte) {
	if n := strings.IndexByte(s.text[s.at:], c); n >= 0 {
		s.at += n
		return
	}
	s.at = len(s.text)
}

// str skips a string of one or three quotes.
func (s *source) str() {
	s.start = false
	quote := s.text[s.at : s.at+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.at:], triple) {
		quote = triple
	}
	s.at += len(quote)
	for s.at < len(s.text) {
		switch {
		case strings.HasPrefix(s.text[s.at:], quote):
			s.at += len(quote)
			return
		case s.text[s.at] == '\\':
			s.at += 2
		case s.text[s.at] == '\n' && len(quote) == 1:
			return
		default:
			s.at++
		}
	}
	s.at = min(s.at, len(s.text))
}

// name takes a dotted name.
func (s *source) name() string {
	from := s.at
	for s.at < len(s.text) && (identifies(s.text[s.at]) || s.text[s.at] == '.' && s.at+1 < len(s.text) && identifies(s.text[s.at+1])) {
		s.at++
	}
	return s.text[from:s.at]
}

// blanks skips spaces, and line ends inside of brackets.
func (s *source) blanks() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t') {
		s.at++
	}
}

// word takes a name, a keyword or the prefix of a string.
func (s *source) word() {
	at, first := s.at, s.start
	name := s.name()
	if s.at < len(s.text) && (s.text[s.at] == '"' || s.text[s.at] == '\'') && len(name) <= 3 {
		s.str()
		return
	}
	s.start = false
	switch {
	case first && name == "import":
		s.imports()
	case first && name == "from":
		s.from()
	case name == "def" || name == "class":
		s.blanks()
		s.name()
	case name == "else" || name == "try" || name == "finally":
	default:
		s.blanks()
		if s.at < len(s.text) && s.text[s.at] == '(' && !keywords[name] {
			s.use(false, s.resolve(name), at)
		}
	}
}

var keywords = set("if elif while for in not and or return yield await lambda assert del raise with as is print except from import pass match case")

func (s *source) use(imported bool, name string, at int) {
	const most = 200
	s.uses = append(s.uses, Use{imported, name[:min(len(name), most)], int64(at), s.top})
}

// resolve replaces the name that an import gave.
func (s *source) resolve(name string) string {
	head, rest, dotted := strings.Cut(name, ".")
	full, ok := s.names[head]
	if !ok {
		return name
	}
	if dotted {
		return full + "." + rest
	}
	return full
}

// note keeps what an import calls a name.
func (s *source) note(name, full string) {
	if s.kept += len(name) + len(full); s.kept < 1<<20 {
		s.names[name] = full
	}
}

// as takes "as NAME", if it is there.
func (s *source) as() string {
	s.blanks()
	if rest := s.text[s.at:]; !strings.HasPrefix(rest, "as ") && !strings.HasPrefix(rest, "as\t") {
		return ""
	}
	s.at += 3
	s.blanks()
	return s.name()
}

// imports reads the names behind "import".
func (s *source) imports() {
	for {
		s.blanks()
		at := s.at
		name := s.name()
		if name == "" {
			return
		}
		s.use(true, name, at)
		if alias := s.as(); alias != "" {
			s.note(alias, name)
		}
		s.blanks()
		if s.at >= len(s.text) || s.text[s.at] != ',' {
			return
		}
		s.at++
	}
}

// from reads "MODULE import NAMES".
func (s *source) from() {
	s.blanks()
	at := s.at
	for s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
	}
	s.name()
	module := s.text[at:s.at]
	s.blanks()
	if !strings.HasPrefix(s.text[s.at:], "import") {
		return
	}
	s.at += len("import")
	s.use(true, module, at)
	bracket := false
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '(':
			bracket = true
			s.at++
		case c == '#':
			s.skipTo('\n')
		case c == ' ' || c == '\t' || c == ',' || c == '\r' || c == '\\' || bracket && c == '\n':
			s.at++
		case identifies(c):
			name := s.name()
			alias := s.as()
			if alias == "" {
				alias = name
			}
			s.note(alias, module+"."+name)
		default:
			if bracket && c == ')' {
				s.at++
			}
			return
		}
	}
}
