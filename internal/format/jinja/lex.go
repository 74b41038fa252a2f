package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is the kind of a token.
type tokenKind uint8

const (
	tokenText tokenKind = iota + 1
	tokenOutput
	tokenOutputEnd
	tokenBlock
	tokenBlockEnd
	tokenName
	tokenString
	tokenNumber
	tokenOperator
)

type token struct {
	kind    tokenKind
	text    string
	at, end int
}

type lexer struct {
	text   string
	at     int
	lim    Limits
	tokens []token
}

func lex(text string, lim Limits) ([]token, error) {
	l := &lexer{text: text, lim: lim}
	for l.at < len(l.text) {
		if err := l.outside(); err != nil {
			return nil, err
		}
		if len(l.tokens) > lim.Nodes {
			return nil, fmt.Errorf("more than %d tokens: %w", lim.Nodes, ErrLimit)
		}
	}
	return l.tokens, nil
}

func (l *lexer) wrong(at int, format string, args ...any) error {
	return fmt.Errorf("byte %d: "+format+": %w", append(append([]any{at}, args...), ErrSyntax)...)
}

func (l *lexer) emit(kind tokenKind, text string, from int) {
	l.tokens = append(l.tokens, token{kind, text, from, l.at})
}

// outside reads text up to the next delimiter, and what that begins.
func (l *lexer) outside() error {
	from := l.at
	next := len(l.text)
	for n := from; n+1 < len(l.text); n++ {
		if l.text[n] == '{' && strings.IndexByte("%{#", l.text[n+1]) >= 0 {
			next = n
			break
		}
	}
	if next > from {
		l.at = next
		l.emit(tokenText, l.text[from:next], from)
	}
	if next == len(l.text) {
		return nil
	}
	switch l.text[next+1] {
	case '#':
		end := strings.Index(l.text[next+2:], "#}")
		if end < 0 {
			return l.wrong(next, "comment without an end")
		}
		l.at = next + 2 + end + 2
		return nil
	case '%':
		if ok, err := l.raw(next); ok || err != nil {
			return err
		}
		return l.inside(next, tokenBlock, tokenBlockEnd, "%}")
	default:
		return l.inside(next, tokenOutput, tokenOutputEnd, "}}")
	}
}

// tag reads a block that has one word only, and where it ends.
func (l *lexer) tag(at int) (word string, end int, ok bool) {
	rest := strings.TrimLeft(strings.TrimLeft(l.text[at+2:], "-+"), " \t\r\n")
	n := strings.IndexFunc(rest, func(r rune) bool { return r < 'a' || r > 'z' })
	if n <= 0 {
		return "", 0, false
	}
	word = rest[:n]
	rest = strings.TrimLeft(rest[n:], " \t\r\n")
	rest = strings.TrimLeft(rest, "-+")
	if !strings.HasPrefix(rest, "%}") {
		return "", 0, false
	}
	return word, len(l.text) - len(rest) + 2, true
}

// raw reads a block whose content is text.
func (l *lexer) raw(at int) (bool, error) {
	word, start, ok := l.tag(at)
	if !ok || word != "raw" {
		return false, nil
	}
	for n := start; ; n += 2 {
		next := strings.Index(l.text[n:], "{%")
		if next < 0 {
			return false, l.wrong(at, "raw without an end")
		}
		n += next
		if word, end, ok := l.tag(n); ok && word == "endraw" {
			l.at = n
			l.emit(tokenText, l.text[start:n], start)
			l.at = end
			return true, nil
		}
	}
}

// inside reads the tokens between delimiters.
func (l *lexer) inside(at int, open, shut tokenKind, end string) error {
	l.at = at + 2
	if l.at < len(l.text) && (l.text[l.at] == '-' || l.text[l.at] == '+' && open == tokenBlock) {
		l.at++
	}
	l.emit(open, "", at)
	depth := 0
	for {
		l.at += len(l.text[l.at:]) - len(strings.TrimLeft(l.text[l.at:], " \t\r\n\f\v"))
		rest := l.text[l.at:]
		from := l.at
		if depth == 0 {
			for _, mark := range []string{end, "-" + end, "+" + end} {
				if strings.HasPrefix(rest, mark) {
					l.at += len(mark)
					l.emit(shut, "", from)
					return nil
				}
			}
		}
		if rest == "" {
			return l.wrong(at, "no %q", end)
		}
		if err := l.token(rest); err != nil {
			return err
		}
		if last := l.tokens[len(l.tokens)-1]; last.kind == tokenOperator {
			switch last.text {
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				if depth--; depth < 0 {
					return l.wrong(from, "%q closes nothing", last.text)
				}
			}
		}
		if len(l.tokens) > l.lim.Nodes {
			return fmt.Errorf("more than %d tokens: %w", l.lim.Nodes, ErrLimit)
		}
	}
}

// operators are tried in this order.
var operators = []string{
	"//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "(", ")", "[", "]", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
}

func (l *lexer) token(rest string) error {
	from := l.at
	c, size := utf8.DecodeRuneInString(rest)
	switch {
	case c == '"' || c == '\'':
		return l.str(rest)
	case c >= '0' && c <= '9':
		n := strings.IndexFunc(rest, func(r rune) bool {
			return r != '_' && r != '.' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
		})
		if n < 0 {
			n = len(rest)
		}
		// "1.." and "1.name" end the number before the point.
		if point := strings.IndexByte(rest[:n], '.'); point >= 0 && (point+1 >= n || rest[point+1] < '0' || rest[point+1] > '9') {
			n = point
		}
		l.at += n
		l.emit(tokenNumber, rest[:n], from)
		return nil
	case c == '_' || unicode.IsLetter(c):
		n := strings.IndexFunc(rest, func(r rune) bool {
			return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r)
		})
		if n < 0 {
			n = len(rest)
		}
		l.at += n
		l.emit(tokenName, rest[:n], from)
		return nil
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			l.at += len(o)
			l.emit(tokenOperator, o, from)
			return nil
		}
	}
	return l.wrong(from, "unexpected %q", rest[:size])
}

// str reads a string and resolves its escapes as Python does.
func (l *lexer) str(rest string) error {
	from := l.at
	var b strings.Builder
	for n := 1; n < len(rest); {
		switch c := rest[n]; {
		case c == rest[0]:
			l.at += n + 1
			l.emit(tokenString, b.String(), from)
			return nil
		case c == '\\' && n+1 < len(rest):
			n += 1 + escape(&b, rest[n+1:])
		default:
			b.WriteByte(c)
			n++
		}
	}
	return l.wrong(from, "string without an end")
}

// escape resolves what stands behind a backslash and returns its length.
func escape(b *strings.Builder, rest string) int {
	const letters, meanings = `\'"abfnrtv`, "\\'\"\a\b\f\n\r\t\v"
	c := rest[0]
	if n := strings.IndexByte(letters, c); n >= 0 {
		b.WriteByte(meanings[n])
		return 1
	}
	digits := func(at, most, base int) int {
		n := at
		for n < len(rest) && n < at+most {
			if _, err := strconv.ParseUint(rest[n:n+1], base, 8); err != nil {
				break
			}
			n++
		}
		v, err := strconv.ParseUint(rest[at:n], base, 32)
		if err != nil {
			return 0
		}
		b.WriteRune(rune(v))
		return n
	}
	length := 0
	switch {
	case c == '\n':
		return 1
	case c == 'x':
		length = digits(1, 2, 16)
	case c == 'u':
		length = digits(1, 4, 16)
	case c == 'U':
		length = digits(1, 8, 16)
	case c >= '0' && c <= '7':
		length = digits(0, 3, 8)
	case c == 'N' && strings.HasPrefix(rest, "N{LOW LINE}"):
		b.WriteByte('_')
		length = len("N{LOW LINE}")
	}
	if length > 0 {
		return length
	}
	b.WriteByte('\\')
	_, size := utf8.DecodeRuneInString(rest)
	b.WriteString(rest[:size])
	return size
}
