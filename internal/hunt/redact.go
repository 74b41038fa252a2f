package hunt

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// mask stands in the place of a secret.
const mask = "[REDACTED]"

// Parts of the expressions below. A value may be quoted, quoted by escaped
// quotes as in JSON inside JSON, or end at the next space.
const (
	name     = `[\w.\-]*(?:token|secret|passw|passphrase|passwd|pwd|credential|api[_-]?key|cookie|session|signature|bearer)[\w.\-]*`
	keyName  = `[\w.\-]*key(?:s|[_-]?id|[_-]?data|[_-]?b64|[_-]?base64|[_-]?pem)?`
	authName = `(?:[\w.\-]*[_.\-])?(?:auth|sig|pat|creds?)(?:[_.\-][\w.\-]*)?`
	secretly = `(?:` + name + `|` + keyName + `|` + authName + `)`
	value    = `(\\+["'].*?(?:\\+["']|$)|"(?:\\.|[^"\\])*(?:"(?:[^\s,}\]);&|]\S*)?|\\?$)|'(?:\\.|[^'\\])*(?:'(?:[^\s,}\]);&|]\S*)?|\\?$)|[^\s"']\S*)`
)

// patterns find secrets; the first group is what is masked, or the whole match
// where there is none. All of them look at the same text: masking one secret
// must not hide the key by which the next would be known.
var patterns = compile(
	// key=value, key: value, "key": "value"
	`(?i)`+secretly+`\\*["']?\s*(?:=>|:=|[=:])[=\s]*`+value,
	// --key value, and the two names that the signing tool reads
	`(?i)(?:--?`+secretly+`|COSIGN_KEY|COSIGN_PASSWORD)\s+`+value,
	// token abc123, password is abc123
	`(?i)(?:token|passw(?:or)?d|passphrase|secret|key)s?\s+(?:is\s+|was\s+)?(\S*\d\S*)`,
	// headers, up to the quote or the end of the line
	`(?i)(?:authorization|cookie|x-api-key|x-auth-token)\\*["']?\s*[:=]\s*\\*["']?([^"'\\]+)`,
	`(?i)\b(?:bearer|basic|digest)\s+([\w.~+/=\-]{4,})`,
	// user and password in a URL
	`(?i)\b[a-z][a-z0-9+.\-]*://([^\s/"'<>]+)@`,
	// keys in PEM, on one line or cut off, and a body line that stands alone
	`-----BEGIN [^-]*-----(.*?)(?:-----END [^-]*-----|$)`,
	`^[\dTZ:.,+\-\[\]\s]*\s([A-Za-z0-9+/]{40,}=*)\s*$`,
	`^([A-Za-z0-9+/]{40,}=*)\s*$`,
	// tokens that say what they are
	`(?:AKIA|ASIA|AGPA|AROA|AIDA)[0-9A-Z]{8,}`,
	`gh[opusr]_\w{8,}|github_pat_\w{8,}|gl(?:pat|ptt|dt|rt|cbt)-[\w\-]{8,}`,
	`xox[a-z]-[\w\-]{6,}|xapp-[\w\-]{6,}`,
	`hf_[A-Za-z0-9]{8,}|api_org_[A-Za-z0-9]{8,}|npm_\w{8,}|pypi-[\w\-]{8,}|dckr_pat_[\w\-]{8,}`,
	`sk-[\w\-]{8,}|[sr]k_(?:live|test)_\w{8,}|whsec_\w{8,}|SG\.[\w\-.]{8,}`,
	`AIza[\w\-]{16,}|ya29\.[\w\-.]{8,}|AGE-SECRET-KEY-1\w{8,}|hv[sb]\.[\w\-]{8,}`,
	`eyJ[\w\-]{4,}(?:\.[\w\-]*){0,4}`,
)

var (
	keyWord = regexp.MustCompile(`(?i)token|secret|passw|passphrase|pwd|key|credential|auth|cookie|session|signature`)
	longRun = regexp.MustCompile(`[A-Za-z0-9+/_\-][A-Za-z0-9+/_=\-]{31,}`)
)

func compile(exprs ...string) []*regexp.Regexp {
	var out []*regexp.Regexp
	for _, e := range exprs {
		out = append(out, regexp.MustCompile(e))
	}
	return out
}

// spans are parts of a text, each from its first byte to behind its last.
type spans [][2]int

// secrets returns where s holds what looks like a secret, sorted, without
// overlap.
func secrets(s string) spans {
	var found spans
	for _, p := range patterns {
		for _, m := range p.FindAllStringSubmatchIndex(s, -1) {
			if len(m) > 2 && m[2] >= 0 {
				m = m[2:]
			}
			found = append(found, [2]int{m[0], m[1]})
		}
	}
	if at := keyWord.FindStringIndex(s); at != nil {
		for _, m := range longRun.FindAllStringIndex(s[at[1]:], -1) {
			if run := s[at[1]+m[0] : at[1]+m[1]]; strings.ContainsAny(run, "0123456789") {
				found = append(found, [2]int{at[1] + m[0], at[1] + m[1]})
			}
		}
	}
	return found.merged()
}

func (s spans) with(from, to int) spans {
	return append(s, [2]int{from, to}).merged()
}

func (s spans) merged() spans {
	slices.SortFunc(s, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	var out spans
	for _, m := range s {
		switch last := len(out) - 1; {
		case m[0] >= m[1]:
		case last >= 0 && m[0] <= out[last][1]:
			out[last][1] = max(out[last][1], m[1])
		default:
			out = append(out, m)
		}
	}
	return out
}

// outside returns at, or the two ends of the span that at lies in.
func (s spans) outside(at int) (from, to int) {
	for _, m := range s {
		if m[0] < at && at < m[1] {
			return m[0], m[1]
		}
	}
	return at, at
}

// masked returns text[from:to] with the mask in the place of each span. The
// ends must not lie in a span.
func masked(text string, hide spans, from, to int) string {
	var b strings.Builder
	for _, m := range hide {
		if m[1] <= from || m[0] >= to {
			continue
		}
		b.WriteString(text[from:m[0]])
		b.WriteString(mask)
		from = m[1]
	}
	if from < to {
		b.WriteString(text[from:to])
	}
	return b.String()
}
