// Package indicator describes the signs of a possible incident, by the names
// of the published guide.
package indicator

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/finding"
)

// Class says what an indicator stands for, which decides how it counts.
type Class int

// The classes.
const (
	// Found is an observed sign of compromise.
	Found Class = iota
	// Trust is a doubt about who vouches for what is there.
	Trust
	// Incomplete is something that could not be looked at. It is never
	// evidence of health.
	Incomplete
)

// Type names a kind of indicator.
type Type string

// The types of the guide.
const (
	ModelFileTampered   Type = "model_file_tampered"
	UnexpectedModelFile Type = "unexpected_model_file"
	ModelFileMissing    Type = "model_file_missing"
	BehaviorDrift       Type = "behavior_drift"
	DependencyMissing   Type = "dependency_missing"
	DependencyChanged   Type = "dependency_changed"
)

// Types beyond the guide's.
const (
	ModelMissing         Type = "model_missing"
	ModelUnreadable      Type = "model_unreadable"
	ModelFileUnreadable  Type = "model_file_unreadable"
	ModelFileUnstable    Type = "model_file_unstable"
	ModelFileWriter      Type = "model_file_writer"
	ModelLinkEscapes     Type = "model_link_escapes"
	ModelDenied          Type = "model_denied"
	BaselineUnverified   Type = "baseline_unverified"
	BaselineAltered      Type = "baseline_altered"
	BaselineRefused      Type = "baseline_refused"
	BehaviorUnreadable   Type = "behavior_unreadable"
	BehaviorInsufficient Type = "behavior_insufficient"
	DependencyUnreadable Type = "dependency_unreadable"
	RecordAltered        Type = "record_altered"
	CheckFailed          Type = "check_failed"
	WatchDegraded        Type = "watch_degraded"
	WatchBehind          Type = "watch_behind"
	ContainmentReverted  Type = "containment_reverted"
)

// Types about attributes, signatures and the form of deployment.
const (
	ModelFileAttributes     Type = "model_file_attributes"
	ModelReplaced           Type = "model_replaced"
	ModelSignerChanged      Type = "model_signer_changed"
	ModelSignatureUntrusted Type = "model_signature_untrusted"
	ModelLayoutInvalid      Type = "model_layout_invalid"
	ModelLayoutUnverified   Type = "model_layout_unverified"
	BaselineRevoked         Type = "baseline_revoked"
)

// Info is what is constant about a type.
type Info struct {
	Severity finding.Severity
	Class    Class
	// Atlas lists MITRE ATLAS techniques, sorted.
	Atlas []string
	// Meaning is one sentence for the manual.
	Meaning string
}

var types = map[Type]Info{
	ModelFileTampered:    {finding.Critical, Found, []string{"AML.T0018"}, "A file of the model is not the file of the baseline."},
	UnexpectedModelFile:  {finding.High, Found, []string{"AML.T0018"}, "A path is present in the model that the baseline does not have."},
	ModelFileMissing:     {finding.Critical, Found, []string{"AML.T0018"}, "A file of the baseline is gone."},
	BehaviorDrift:        {finding.High, Found, []string{"AML.T0031"}, "The distribution of recent outputs differs from the reference distribution by more than the threshold."},
	DependencyMissing:    {finding.High, Found, []string{"AML.T0010.001"}, "A Python package that the configuration names is not installed."},
	DependencyChanged:    {finding.Critical, Found, []string{"AML.T0010.001"}, "A Python package is installed in another version than the configuration names."},
	ModelMissing:         {finding.Critical, Found, []string{"AML.T0029"}, "The path of a configured model does not exist."},
	ModelUnreadable:      {finding.High, Incomplete, nil, "A model could not be walked, so nothing is known about it."},
	ModelFileUnreadable:  {finding.High, Incomplete, nil, "A path in the model could not be read, so nothing is known about it."},
	ModelFileUnstable:    {finding.High, Incomplete, nil, "A file changed while it was being read."},
	ModelFileWriter:      {finding.High, Incomplete, nil, "A file is open for writing, or mapped from such an opening: it can change without a trace in its size or times."},
	ModelLinkEscapes:     {finding.High, Incomplete, nil, "A symbolic link leads out of the model or nowhere; what it leads to was not checked."},
	ModelDenied:          {finding.Critical, Found, []string{"AML.T0010.003"}, "The model, or a file of it, is on the deny-list."},
	ContainmentReverted:  {finding.Critical, Found, []string{"AML.T0109"}, "Somebody took back what was done to contain an incident."},
	BaselineUnverified:   {finding.Medium, Trust, nil, "Nobody vouches for the baseline: it was taken on first use."},
	BaselineAltered:      {finding.Critical, Found, nil, "The stored baseline is not the one that was recorded."},
	RecordAltered:        {finding.Critical, Found, nil, "The host's record of baselines and deny-list is not what was written."},
	BaselineRefused:      {finding.High, Trust, nil, "The policy requires a signature and the baseline has none."},
	BehaviorUnreadable:   {finding.Medium, Incomplete, nil, "Outputs or reference distribution could not be read."},
	BehaviorInsufficient: {finding.Low, Incomplete, nil, "There are no outputs to judge the behaviour by."},
	DependencyUnreadable: {finding.High, Incomplete, nil, "Installed Python packages could not be read."},
	CheckFailed:          {finding.High, Incomplete, nil, "A check could not be carried out."},
	WatchDegraded:        {finding.High, Incomplete, nil, "Something is not watched in the way that its file system allows: a change shows later."},
	WatchBehind:          {finding.High, Incomplete, nil, "A large file has not been read for longer than watch.full_pass_age promises."},

	ModelFileAttributes:     {finding.Medium, Found, []string{"AML.T0018"}, "Mode, owner, links or extended attributes of a file differ from the baseline; high where that lets somebody else write or gain rights."},
	ModelReplaced:           {finding.Critical, Found, []string{"AML.T0018"}, "A validly signed version is in the place of the one that the baseline pins, an older one perhaps."},
	ModelSignerChanged:      {finding.High, Found, []string{"AML.T0018"}, "The signature is valid, and not by the signer who vouches for the baseline."},
	ModelSignatureUntrusted: {finding.High, Trust, nil, "The model carries a signature that does not verify under the configured trust."},
	ModelLayoutInvalid:      {finding.High, Found, []string{"AML.T0018"}, "The structure in which the model is deployed contradicts itself."},
	ModelLayoutUnverified:   {finding.Medium, Incomplete, nil, "Something in the deployed structure has no name that says what it should contain, and no baseline vouches for it."},
	BaselineRevoked:         {finding.High, Trust, nil, "The baseline, or who vouches for it, is on the deny-list."},
}

// InfoOf returns what is constant about t. A type that is not in the table
// counts as found and high, so that a newer program's records are not taken
// lightly by an older one.
func InfoOf(t Type) Info {
	if i, ok := types[t]; ok {
		return i
	}
	return Info{Severity: finding.High, Class: Found}
}

// Types returns every type of the table, sorted by name.
func Types() []Type {
	out := make([]Type, 0, len(types))
	for t := range types {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// Indicator is one observed sign. The field names are the guide's.
type Indicator struct {
	// ID is the same for the same observation, whenever it is made.
	ID       string           `json:"id"`
	Type     Type             `json:"type"`
	Severity finding.Severity `json:"severity"`
	// Source is the model's id, or the monitor's name.
	Source      string         `json:"source"`
	Description string         `json:"description"`
	Timestamp   time.Time      `json:"timestamp"`
	Evidence    map[string]any `json:"evidence"`
	Atlas       []string       `json:"atlas,omitempty"`
}

// New returns an indicator of type t. The id is made from t, source and key;
// key holds what makes this observation the one it is (the file and what was
// found in it, say) and leaves out what differs between two looks at the same
// state (times, sample counts).
func New(t Type, source string, at time.Time, description string, evidence map[string]any, key ...string) Indicator {
	info := InfoOf(t)
	if evidence == nil {
		evidence = map[string]any{}
	}
	return Indicator{
		ID: id(t, source, key), Type: t, Severity: info.Severity, Source: source,
		Description: description, Timestamp: at.UTC(), Evidence: evidence, Atlas: slices.Clone(info.Atlas),
	}
}

// Class returns the class of the indicator's type.
func (i Indicator) Class() Class { return InfoOf(i.Type).Class }

// File returns the path in the model that the indicator is about, or "".
func (i Indicator) File() string {
	file, _ := i.Evidence["file"].(string)
	return file
}

// Compare orders indicators: worst first, then by source, type and file.
func Compare(a, b Indicator) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(a.Source, b.Source),
		cmp.Compare(a.Type, b.Type),
		cmp.Compare(a.File(), b.File()),
		cmp.Compare(a.ID, b.ID),
	)
}

// id hashes its parts with a separator that none of them can hold unescaped.
func id(t Type, source string, key []string) string {
	h := sha256.New()
	for _, part := range append([]string{string(t), source}, key...) {
		h.Write([]byte(strings.ReplaceAll(part, "\x00", "\x00\x01") + "\x00\x02"))
	}
	return "ind-" + hex.EncodeToString(h.Sum(nil)[:10])
}
