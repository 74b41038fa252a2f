package detect

import "github.com/weightwarden/weightwarden/internal/finding"

// The rules of the scanner itself, whatever the format.
const (
	RuleUnread      = "WW-SCAN-001"
	RuleUnknown     = "WW-SCAN-002"
	RuleDepth       = "WW-SCAN-003"
	RuleMembers     = "WW-SCAN-004"
	RuleOutput      = "WW-SCAN-005"
	RuleTime        = "WW-SCAN-006"
	RuleRatio       = "WW-SCAN-008"
	RulePolyglot    = "WW-SCAN-009"
	RulePromise     = "WW-SCAN-010"
	RuleLeadsOut    = "WW-SCAN-011"
	RuleMemberName  = "WW-SCAN-012"
	RuleTwice       = "WW-SCAN-013"
	RuleMemberKind  = "WW-SCAN-014"
	RuleHidden      = "WW-SCAN-015"
	RuleDecompress  = "WW-SCAN-016"
	RuleManyMore    = "WW-SCAN-017"
	RuleSpecialFile = "WW-SCAN-018"
)

// Scanner returns what the scanner reports by itself.
func Scanner() Info {
	return Info{Name: "scan", Rules: append(scanLimits(), scanStructure()...)}
}

const limitDo = "Look at the artifact with a higher limit, or by hand. Do not deploy it because nothing was found: what lies behind the limit was not looked at."

func scanLimits() []Rule {
	limit := func(id, title, about string, cases ...int) Rule {
		return Rule{
			ID: id, Title: title, Severity: finding.Medium, Verdict: finding.Inconclusive, Techniques: []string{"AML.T0076"},
			About: about, Do: limitDo, Misses: "Everything behind the limit.", Cases: cases,
		}
	}
	return []Rule{
		limit(RuleUnread, "not read to the end", "The artifact could not be read or judged to its end: a read error, a file that changed meanwhile, or a reader that broke. What was found before still counts."),
		limit(RuleUnknown, "no reader for this format", "The content is of no format that this program reads, so that nothing can be said about what a loader would do with it."),
		limit(RuleDepth, "nested too deep", "Containers lie in containers beyond the limit of depth. Nobody packs a model like this.", 49),
		limit(RuleMembers, "too many members", "The artifact holds more members than the limit.", 49),
		limit(RuleOutput, "decompresses to too much", "What the artifact decompresses to exceeds the limit.", 41, 49),
		limit(RuleTime, "time limit", "Judging the artifact took longer than the limit."),
	}
}

func scanStructure() []Rule {
	const openIt = "Find out who packed the artifact, and how. A model that was saved by the usual libraries does not look like this."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) Rule {
		return Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0076"}, About: about, Do: openIt, Misses: misses, Cases: cases}
	}
	return []Rule{
		rule(RuleRatio, "decompression bomb", finding.Medium, finding.Suspicious,
			"A member grows to more than 200 times its size and to more than four million bytes.", "Growth that is spread over many members; the limit of output holds there.", 41, 49),
		rule(RulePolyglot, "several formats at once", finding.High, finding.Suspicious,
			"Loaders of different formats accept the same bytes. Which content is loaded depends on who loads it; all of it was scanned.", "Formats that this program does not know.", 47),
		rule(RulePromise, "not what its name says", finding.Medium, finding.Suspicious,
			"The content is of another format than the extension promises. Tools that go by the extension skip it or pick the wrong reader.", "Extensions that promise nothing, such as `.bin`.", 37, 42),
		rule(RuleLeadsOut, "a member's path leads out", finding.Critical, finding.Malicious,
			"A member has an absolute path, a drive letter or `..` in its name, or is a link that leads out: whoever extracts the archive writes where the attacker wants.", "Loaders that sanitise names themselves are not harmed.", 50),
		rule(RuleMemberName, "odd member name", finding.Medium, finding.Suspicious,
			"A member's name holds a backslash, a control character or bytes that are no UTF-8, is reserved on Windows, or ends in a dot or a space: readers disagree about what file it is.", "Look-alike letters.", 50),
		rule(RuleTwice, "a member is given twice", finding.High, finding.Suspicious,
			"Two members have the same name, or names that differ in case only. Readers disagree about which one counts; both were scanned.", "Names that are equal after Unicode normalisation only.", 46),
		rule(RuleMemberKind, "link or device in an archive", finding.High, finding.Suspicious,
			"A member is a link, a device or a pipe. Models consist of files.", "Links that lead out are another rule.", 50),
		rule(RuleHidden, "a loadable file in plain data", finding.High, finding.Suspicious,
			"Where a container keeps numbers, there is a file of a format that loads or runs: a second stage waits there.", "Files that do not begin at the start of the member, unless the scan is deep.", 51),
		rule(RuleDecompress, "cannot be decompressed", finding.Medium, finding.Suspicious,
			"The compressed data is malformed or ends early. A loader may have used what came before; that was scanned.", "Nothing known.", 33, 49),
		rule(RuleManyMore, "more of the same", finding.Low, finding.Suspicious,
			"The artifact has more findings than are listed.", "The findings that are not listed are not described; the verdict covers them.", 38),
		rule(RuleSpecialFile, "not a regular file", finding.Medium, finding.Inconclusive,
			"A link that leads out of what is scanned, a pipe, a socket or a device. It was not opened.", "What the link leads to.", 88),
	}
}
