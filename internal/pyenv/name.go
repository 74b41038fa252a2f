package pyenv

import "strings"

// maxName bounds names and versions in bytes. PyPI's longest names have
// about a hundred.
const maxName = 256

// NormalizeName returns the form in which names of packages are compared
// (PEP 503): lower-case, with every run of "-", "_" and "." as one "-".
func NormalizeName(name string) string {
	var b strings.Builder
	dash := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-' || c == '_' || c == '.':
			if !dash {
				b.WriteByte('-')
			}
			dash = true
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		dash = false
		b.WriteByte(c)
	}
	return b.String()
}

// ValidName reports whether name may name a package (PEP 508): ASCII letters
// and digits, with "-", "_" and "." inside.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		inside := i > 0 && i < len(name)-1
		if !alnum && (!inside || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}
