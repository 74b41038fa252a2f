package scan

import (
	"context"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
)

// sink takes what one detector says about one artifact.
type sink struct {
	*scanCase
	info  detect.Info
	in    artifactIn
	names map[string]bool // of members, folded
}

// Hit implements [detect.Sink].
func (s *sink) Hit(h detect.Hit) { s.add(s.info, h, s.in.member) }

// maxFacts is how many different remarks a file may have.
const maxFacts = 50

// Fact implements [detect.Sink].
func (s *sink) Fact(text string) {
	if len(s.file.Facts) < maxFacts && !slices.Contains(s.file.Facts, text) {
		s.file.Facts = append(s.file.Facts, text)
	}
}

// Nested implements [detect.Sink].
func (s *sink) Nested(ctx context.Context, m detect.Member) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !s.room(m) {
		return nil
	}
	s.checkName(m)
	inside := artifactIn{name: m.Name, member: s.in.under(m.Name), depth: s.in.depth + 1, opaque: m.Opaque, as: m.As}
	if m.Name == "" {
		inside.name = unpackedName(s.in.name)
		inside.member = s.in.under(inside.name)
	}
	switch {
	case m.Data != nil:
		inside.data = m.Data
	case m.Open == nil:
		return nil
	default:
		unpacked, err := s.unpack(ctx, m, inside.member)
		if err != nil {
			return err
		}
		defer unpacked.release()
		inside.data = unpacked.data
	}
	s.judge(ctx, inside)
	return ctx.Err()
}

// room holds the limits of number and depth.
func (s *sink) room(m detect.Member) bool {
	if s.file.Members++; s.file.Members > s.opts.Limits.Members {
		if !s.full {
			s.full = true
			s.own(detect.RuleMembers, s.in.member, m.Offset, "more than %d members", s.opts.Limits.Members)
		}
		return false
	}
	if s.in.depth+1 > s.opts.Limits.Depth {
		s.own(detect.RuleDepth, s.in.member, m.Offset, "containers in containers beyond a depth of %d", s.opts.Limits.Depth)
		return false
	}
	return true
}

// checkName reports what is wrong with a member's name and kind.
func (s *sink) checkName(m detect.Member) {
	hit := func(rule, format string, args ...any) { s.own(rule, s.in.under(m.Name), -1, format, args...) }
	if leadsOut(m.Name) {
		hit(detect.RuleLeadsOut, "the member %.120q leads out of the archive", m.Name)
	} else if why := oddName(m.Name); why != "" {
		hit(detect.RuleMemberName, "the member %.120q %s", m.Name, why)
	}
	switch m.Kind {
	case "", artifact.Regular, artifact.Directory:
	case artifact.Symlink:
		if leadsOut(path.Join(path.Dir(m.Name), m.Target)) || leadsOut(m.Target) && !strings.HasPrefix(m.Target, ".") {
			hit(detect.RuleLeadsOut, "the link %.120q leads to %.120q", m.Name, m.Target)
			break
		}
		fallthrough
	default:
		hit(detect.RuleMemberKind, "the member %.120q is a %s", m.Name, m.Kind)
	}
	if m.Name == "" {
		return
	}
	folded := strings.ToLower(m.Name)
	if s.names[folded] {
		hit(detect.RuleTwice, "the member %.120q is given twice", m.Name)
	}
	s.names[folded] = true
}

// leadsOut reports whether a path, taken the way any system would, could end
// outside the folder it is extracted to.
func leadsOut(name string) bool {
	slashed := strings.ReplaceAll(name, `\`, "/")
	drive := len(slashed) > 1 && slashed[1] == ':' && (slashed[0]|0x20 >= 'a' && slashed[0]|0x20 <= 'z')
	return strings.HasPrefix(slashed, "/") || drive || slices.Contains(strings.Split(slashed, "/"), "..")
}

// oddName says what is odd about a name, or nothing.
func oddName(name string) string {
	last := strings.ToUpper(path.Base(name))
	stem, _, _ := strings.Cut(last, ".")
	switch {
	case name == "":
		return ""
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsRune(name, '\\'):
		return "has a backslash"
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Cf) }):
		return "has a character that is not shown"
	case strings.HasSuffix(name, " ") || strings.HasSuffix(name, "."):
		return "ends in a space or a dot"
	case slices.Contains([]string{"CON", "PRN", "AUX", "NUL", "COM1", "COM2", "LPT1", "LPT2"}, stem):
		return "is reserved on Windows"
	}
	return ""
}
