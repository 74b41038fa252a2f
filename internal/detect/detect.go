// Package detect says what a scanner plugin is.
//
// A detector looks at one artifact: a file, or something inside one. It gets
// bytes it can read at random, says what it saw, hands over what is inside
// for a look of its own, and never sees a path it could open. Which artifacts
// it gets is decided by [Info.Formats], so that no detector starts by asking
// whether it is wanted.
//
// # What makes an artifact clean
//
// The scanner calls an artifact clean only when nothing was found and a
// detector that lists its format in [Info.Covers] ran to the end without an
// error. Listing a format there is a promise: every byte of such an artifact
// was accounted for, and whatever was not understood was reported, with a rule
// whose verdict is [finding.Inconclusive] where nothing worse holds. Detectors
// that only look for one thing leave Covers empty. An artifact whose format
// nobody covers is inconclusive.
//
// # What is inside
//
// Members of an archive, decompressed streams and embedded files go to
// [Sink.Nested]. The scanner judges them like files: sniffs, routes, limits
// depth, number and output. A container's detector therefore covers its
// container only, and its verdict does not depend on what is inside.
//
// # Adding one
//
// One folder here, one line in detect/catalog, a row in the table of
// internal/sniff when the format is new, and the pages under docs/detectors,
// which are generated from [Rule]. Rule ids are never used for anything else.
//
// The package knows no format and opens nothing.
package detect

import (
	"context"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// A Detector looks for one class of trouble in one artifact.
//
// Implementations hold no mutable state: the scanner calls Detect from many
// goroutines at once.
type Detector interface {
	// Info describes the detector. It is constant.
	Info() Info
	// Detect reports to out what it sees in in. Trouble in the artifact is a
	// hit. An error means that the artifact could not be judged to its end
	// (read error, [context.Cause] of a limit); what was reported before still
	// counts, and the artifact is at best inconclusive. A format's own "this
	// is malformed" is a hit, not an error.
	Detect(ctx context.Context, in Input, out Sink) error
}

// Info is all that is constant about a detector. The catalogue, the pages of
// the manual and SARIF's list of rules are made from it.
type Info struct {
	// Name is the folder below internal/detect.
	Name string
	// Formats are those the detector wants to see; empty means every one.
	Formats []artifact.Format
	// Covers are the formats of which it accounts for every byte; see the
	// package comment. Each of them is in Formats, or Formats is empty.
	Covers []artifact.Format
	Rules  []Rule
}

// Rule is one thing that a detector can say.
type Rule struct {
	// ID is "WW-PICKLE-001"; never reused.
	ID    string
	Title string
	// Severity and Verdict are what a hit has that says nothing else. A hit
	// may only deviate where About says when.
	Severity finding.Severity
	Verdict  finding.Verdict
	// Techniques are MITRE ATLAS ids, sorted.
	Techniques []string
	// About says what it means and how it is found, Do what to do about it,
	// Misses what the rule does not see. Markdown, whole sentences.
	About, Do, Misses string
	// Cases are the numbers of the public attacks that it catches, as they
	// are listed in [Cases].
	Cases []int
}

// Input is one artifact as a detector gets it.
type Input struct {
	// Name is what the artifact is called: the path of the file, or of the
	// member as its container spells it. Hostile: for comparing and for
	// artifact.Quote.
	Name string
	// Format is what sniffing says; a polyglot is given to the detectors of
	// each of its formats in turn.
	Format artifact.Format
	// Data is the artifact, from its first byte to its last. It may be
	// decompressed while it is read: going forward is cheap, going back far
	// is not.
	Data *io.SectionReader
	// Depth is how many containers are around the artifact; 0 is a file.
	Depth int
	// Deep asks to read also what is only data, such as weights.
	Deep bool
	// Allowed are the names that the operator's policy adds.
	Allowed Names
	// Tree looks at the files beside the artifact. Nil when it is inside a
	// container.
	Tree Tree
}

// Names is a set of names that an operator allows.
type Names interface {
	// Allows reports whether the global with this module and name is in it.
	Allows(module, name string) bool
}

// Tree is the model around a file. Paths are relative to the file's folder,
// slash-separated; nothing outside the scanned tree can be reached, and
// nothing can be read.
type Tree interface {
	// Lstat describes a path without following a link in any element. It
	// returns an error that wraps fs.ErrNotExist where there is none, and
	// another one for a path that leads out of the tree.
	Lstat(path string) (Entry, error)
}

// Entry is what [Tree] tells about a path.
type Entry struct {
	artifact.File
	// Links is the number of hard links, 0 where the system does not say.
	Links uint64
	// ThroughLink says that one of the folders before the last element is a
	// symbolic link. Nothing else is known about the path then.
	ThroughLink bool
}

// Sink takes what a detector sees. Calls for one artifact never overlap.
type Sink interface {
	// Hit reports something.
	Hit(h Hit)
	// Fact notes something worth knowing that is no trouble: "needs
	// scikit-learn". One short sentence; repeats are folded.
	Fact(text string)
	// Nested has something inside the artifact scanned. It returns an error
	// only when scanning as a whole is to stop; trouble with the member is
	// reported by the scanner. The member's readers are used during the call
	// only.
	Nested(ctx context.Context, m Member) error
}

// Hit is one observation. Where it was (file and member) is known to the
// scanner.
type Hit struct {
	// Rule is the id of one of the detector's rules.
	Rule string
	// Severity and Verdict deviate from the rule's where they are not zero.
	Severity finding.Severity
	Verdict  finding.Verdict
	// Offset is where in the artifact, -1 for the whole; Length how many
	// bytes, 0 when that is not known.
	Offset, Length int64
	// Summary is one sentence without a full stop. Names in it are quoted
	// with %q, and cut: "%.80q".
	Summary string
	// Name is the resolved name of a callable, operator, layer …; Node the
	// opcode or the path of the node that holds it. Either may be empty.
	Name, Node string
	// Evidence is what stands there. The scanner cuts it.
	Evidence []byte
}

// Member is something inside an artifact. Exactly one of Data and Open is set,
// but for links, devices and directories, which have neither.
type Member struct {
	// Name is how the container calls it; the scanner judges names that lead
	// out, are given twice or cannot be shown. Empty where the container has
	// no name for it, as in a compressed stream.
	Name string
	// Kind is what the container says it is; empty means a regular file.
	// Target is where a link leads. Links and devices have no data.
	Kind   artifact.Kind
	Target string
	// Offset is where the container has its bytes, -1 where there is no such
	// place.
	Offset int64
	// Data is the member, when it is stored as it is.
	Data *io.SectionReader
	// Open starts to decompress the member. It is called as often as needed;
	// readers are closed. Errors of the stream that mean "malformed" are
	// reported by the scanner as such.
	Open func() (io.ReadCloser, error)
	// Size is what the container claims for Open, -1 when it does not.
	// Nothing is allocated by it. Packed is what Open reads from, for the
	// ratio; 0 when that is not known.
	Size, Packed int64
	// As is the format where the container decides that, and not the content:
	// the code of a TorchScript archive is no Python. Empty lets it be
	// sniffed.
	As artifact.Format
	// Opaque says that the container knows the member to be plain data of a
	// fixed form (the numbers of a tensor), which is covered by that: it is
	// probed for formats that hide in data and nothing is said when it is
	// none of them.
	Opaque bool
}
