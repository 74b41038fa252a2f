package pyenv

import (
	"regexp"
	"strings"
)

// pep440 is the grammar of PEP 440 with the spellings it normalises.
var pep440 = regexp.MustCompile(`(?i)^\s*v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]*))?` +
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?` +
	`(?:[-_.]?(dev)[-_.]?([0-9]*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$`)

// phases are the one spelling of each kind of pre-release.
var phases = map[string]string{"alpha": "a", "a": "a", "beta": "b", "b": "b", "preview": "rc", "pre": "rc", "c": "rc", "rc": "rc"}

// NormalizeVersion returns version in the normal form of PEP 440, and whether
// it is a version by PEP 440 at all. What is not, or is longer than 256 bytes
// before or after, comes back unchanged.
func NormalizeVersion(version string) (string, bool) {
	m, release := parse(version)
	if m == nil {
		return version, false
	}
	normal := assemble(m, release)
	if len(normal) > maxName { // it may be longer: 1c is 1rc0
		return version, false
	}
	return normal, true
}

// parse returns the groups of pep440 and the numbers of the release, or nil.
func parse(version string) (m, release []string) {
	if len(version) > maxName {
		return nil, nil
	}
	if m = pep440.FindStringSubmatch(version); m == nil {
		return nil, nil
	}
	release = strings.Split(m[2], ".")
	for i := range release {
		release[i] = digits(release[i])
	}
	return m, release
}

// SameVersion reports whether a and b are the same version: equal by PEP 440,
// so that 1.0 is 1.0.0, or equal as texts where one of them is no version by
// PEP 440.
//
// The local part counts: 2.2.0 is not 2.2.0+cu121. PEP 440 lets a requirement
// without a local part match any, which is right for choosing a package and
// wrong for recognising one: the same version from another index with another
// local part is another artifact, and the published guide sees it as changed.
func SameVersion(a, b string) bool {
	x, okX := key(a)
	y, okY := key(b)
	if !okX || !okY {
		return a == b
	}
	return x == y
}

// key is the normal form without trailing zeros of the release.
func key(version string) (string, bool) {
	m, release := parse(version)
	if m == nil {
		return "", false
	}
	for len(release) > 1 && release[len(release)-1] == "0" {
		release = release[:len(release)-1]
	}
	return assemble(m, release), true
}

// assemble writes the groups of pep440 in normal form.
func assemble(m, release []string) string {
	var b strings.Builder
	if epoch := digits(m[1]); epoch != "0" {
		b.WriteString(epoch + "!")
	}
	b.WriteString(strings.Join(release, "."))
	if m[3] != "" {
		b.WriteString(phases[strings.ToLower(m[3])] + digits(m[4]))
	}
	switch {
	case m[5] != "":
		b.WriteString(".post" + digits(m[5]))
	case m[6] != "":
		b.WriteString(".post" + digits(m[7]))
	}
	if m[8] != "" {
		b.WriteString(".dev" + digits(m[9]))
	}
	if m[10] != "" {
		b.WriteString("+" + local(m[10]))
	}
	return b.String()
}

// local writes a local part in normal form.
func local(s string) string {
	parts := strings.FieldsFunc(strings.ToLower(s), func(c rune) bool { return strings.ContainsRune("-_.", c) })
	for i, p := range parts {
		if strings.Trim(p, "0123456789") == "" {
			parts[i] = digits(p)
		}
	}
	return strings.Join(parts, ".")
}

// digits writes a number without leading zeros, a missing one as 0.
func digits(s string) string {
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}
