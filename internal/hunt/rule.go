package hunt

import (
	"slices"

	"github.com/weightwarden/weightwarden/internal/finding"
)

// Rule is one pattern that deserves a look when it stands in a pipeline log.
type Rule struct {
	// ID is never reused for anything else.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Severity is how much a match alone says, which for a pattern without
	// context is little unless the pattern has hardly an innocent use.
	Severity finding.Severity `json:"severity"`
	// Literal is looked for without regard to the case of ASCII letters. It
	// has at least three bytes.
	Literal string `json:"literal"`
	// Word says that no letter may stand directly before the literal, so
	// that "rsync -" is not taken for "nc -".
	Word bool `json:"word,omitempty"`
	// Atlas lists MITRE ATLAS technique ids.
	Atlas []string `json:"atlas,omitempty"`
}

// NotSearched is the rule of logs that are missing, unreadable or in a form
// that is not understood. Whoever covers a trace starts with the log.
const NotSearched = "WW-HUNT-000"

var notSearched = Rule{ID: NotSearched, Title: "A log could not be searched: possible tampering", Severity: finding.High}

// rules are the eight patterns of the published guide. The severities are
// ours: in real build logs "token" and "pip install" are everyday words.
var rules = []Rule{
	{"WW-HUNT-001", "A Python package is installed by a pipeline step", finding.Low, "pip install", false, []string{"AML.T0010.001"}},
	{"WW-HUNT-002", "Data is transferred with curl", finding.Low, "curl ", true, []string{"AML.T0010"}},
	{"WW-HUNT-003", "Data is transferred with wget", finding.Low, "wget ", true, []string{"AML.T0010"}},
	{"WW-HUNT-004", "Base64 is encoded or decoded", finding.Medium, "base64", false, nil},
	{"WW-HUNT-005", "A shell opens a network connection through /dev/tcp", finding.High, "/dev/tcp/", false, []string{"AML.T0072"}},
	{"WW-HUNT-006", "Netcat is started with options", finding.Medium, "nc -", true, []string{"AML.T0072"}},
	{"WW-HUNT-007", "The model signing key is mentioned", finding.High, "COSIGN_KEY", false, []string{"AML.T0055"}},
	{"WW-HUNT-008", "A token is mentioned", finding.Low, "token", false, []string{"AML.T0055"}},
}

// Rules returns every rule, by id, the one for logs that could not be
// searched first.
func Rules() []Rule { return append([]Rule{notSearched}, slices.Clone(rules)...) }

// AtlasOf returns the MITRE ATLAS techniques of a rule, or nil.
func AtlasOf(id string) []string {
	for _, r := range rules {
		if r.ID == id {
			return slices.Clone(r.Atlas)
		}
	}
	return nil
}
