package collect

import (
	"regexp"
	"strings"
)

// masked stands for a value that is kept out.
const masked = "***"

var (
	// secretName is a name, of an option or a variable, whose value is a
	// secret. "tokenizer" and "max-tokens" are none.
	secretName = regexp.MustCompile(`(?i)(token($|[-_.])|secret|passw|passphrase|credential|api[-_.]?key|access[-_.]?key|private[-_.]?key|signing[-_.]?key|encryption[-_.]?key|[-_.]auth|^-*auth|bearer|session|cookie|^sig$|^-*pw$|[-_.]pw$)`)
	// secretValue is a text that is a secret by its own form: the prefixes
	// that well-known services give their tokens, and JSON web tokens.
	secretValue = regexp.MustCompile(`\b(hf_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abeprs]-|AKIA|ASIA|AIza|npm_|pypi-|ya29\.|eyJ)[A-Za-z0-9_.\-/+=]{8,}`)
	// userInfo is the password in a URL.
	userInfo = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)
	// scheme is what follows an HTTP authentication scheme.
	scheme = regexp.MustCompile(`(?i)\b(bearer|basic|token)\s+[A-Za-z0-9_.\-/+=]{6,}`)
	// option is an option and its value inside an argument, such as the
	// script of a shell.
	option = regexp.MustCompile(`(--?[A-Za-z][A-Za-z0-9_.\-]*)(\s+)([^\s\-]\S*)`)
	// assignment is name=value or name: value inside an argument.
	assignment = regexp.MustCompile(`([A-Za-z0-9_.\-]+)(=|:\s*)([^\s&;,"']+|"[^"]*"|'[^']*')`)
)

// MaskArgs returns a copy of args in which obvious secrets are replaced by
// "***": values of options and assignments whose name speaks of a token, key,
// password or the like (--token X, --token=X, TOKEN=X, token: X), passwords
// in URLs, what follows "Bearer" and its kin, and texts with the prefix of a
// well-known kind of token. A secret that is just a word stays.
func MaskArgs(args []string) []string {
	out := make([]string, len(args))
	hide := false
	for i, arg := range args {
		switch {
		case hide && !strings.HasPrefix(arg, "-"):
			out[i] = masked
		default:
			out[i] = maskText(arg)
		}
		hide = strings.HasPrefix(arg, "-") && !strings.ContainsAny(arg, "= ") && secretName.MatchString(arg)
	}
	return out
}

func maskText(s string) string {
	s = scheme.ReplaceAllString(s, "$1 "+masked)
	s = userInfo.ReplaceAllString(s, "${1}"+masked+"@")
	s = maskNamed(option, s)
	s = maskNamed(assignment, s)
	return secretValue.ReplaceAllString(s, "${1}"+masked)
}

// maskNamed masks the third group of pattern where the first is a name whose
// value is a secret.
func maskNamed(pattern *regexp.Regexp, s string) string {
	return pattern.ReplaceAllStringFunc(s, func(m string) string {
		part := pattern.FindStringSubmatch(m)
		if !secretName.MatchString(part[1]) {
			return m
		}
		return part[1] + part[2] + masked
	})
}
