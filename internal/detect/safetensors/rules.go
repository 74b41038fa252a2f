package safetensors

import (
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// The rules.
const (
	ruleUnread  = "WW-SAFETENSORS-001"
	ruleLong    = "WW-SAFETENSORS-002"
	ruleTwice   = "WW-SAFETENSORS-003"
	ruleNumber  = "WW-SAFETENSORS-004"
	ruleTile    = "WW-SAFETENSORS-005"
	ruleShort   = "WW-SAFETENSORS-006"
	ruleType    = "WW-SAFETENSORS-007"
	ruleForm    = "WW-SAFETENSORS-008"
	ruleCode    = "WW-SAFETENSORS-009"
	ruleForeign = "WW-SAFETENSORS-010"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const (
		writer = "Find out what wrote the file. The libraries in use do not write this, so somebody did on purpose or a tool is broken; take the file from a source that is verified."
		fetch  = "Fetch the file again from a source that is verified, and compare the digest."
	)
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, do, misses string) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0076"}, About: about, Do: do, Misses: misses, Cases: []int{74}}
	}
	return detect.Info{
		Name:    "safetensors",
		Formats: []artifact.Format{artifact.Safetensors, artifact.TensorIndex},
		Covers:  []artifact.Format{artifact.Safetensors, artifact.TensorIndex},
		Rules: []detect.Rule{
			rule(ruleUnread, "safetensors header that cannot be read", finding.Medium, finding.Inconclusive,
				"The file ends within its header, the header is no JSON in UTF-8, or it holds more than this program keeps. An index is judged by the same rule.", fetch, "Everything behind the place."),
			rule(ruleLong, "safetensors header beyond the limit of the format", finding.High, finding.Malicious,
				"The length of the header is more than the 100 million bytes that the format allows. Readers that allocate by it run out of memory.", writer, "Nothing known."),
			rule(ruleTwice, "a key given twice in a safetensors header", finding.High, finding.Malicious,
				"An object of the header has a key twice. The format forbids it because readers disagree about which one counts: a tensor that was checked is not the one that is loaded.", writer, "Names that differ only after Unicode normalisation."),
			rule(ruleNumber, "impossible sizes in a safetensors header", finding.High, finding.Malicious,
				"A dimension or an offset is negative, a fraction, or no number; or the shape and type of a tensor do not make its length, or overflow. Lenient readers compute something from it and read elsewhere.", writer, "Nothing known."),
			rule(ruleTile, "tensors that do not tile a safetensors file", finding.High, finding.Malicious,
				"The tensors share bytes, or there are bytes that belong to no tensor: before the first, between two, or behind the last. The format forbids each of them, since this is where a second file hides. Such bytes were probed for formats that load or run.", writer, "Data hidden in the numbers themselves."),
			rule(ruleShort, "safetensors data cut short", finding.Medium, finding.Inconclusive,
				"The file ends before the last tensor does: it is not complete.", fetch, "Nothing known."),
			rule(ruleType, "unknown type of elements in a safetensors file", finding.Medium, finding.Inconclusive,
				"A tensor has a type that this program does not know, so that nobody checked its length.", "Look whether a newer version of this program knows the type.", "The numbers of such a tensor."),
			rule(ruleForm, "odd form of a safetensors header or index", finding.Medium, finding.Suspicious,
				"Readers differ in what they accept: white space before the header, metadata that is no text, keys that the format does not know, a description that lacks something, a total size that the files cannot have.", writer, "Nothing known."),
			rule(ruleCode, "code in the metadata of a safetensors file", finding.Medium, finding.Suspicious,
				"The metadata holds calls or imports. Metadata is data and nothing of the format runs it, but it is what a second stage would look for.", "Find the tool that reads this key, and what it does with it.", "Code that is encoded."),
			rule(ruleForeign, "an index that takes tensors from elsewhere", finding.High, finding.Malicious,
				"The index of a model in several files names a file outside of the model's folder. Loaders join the name with the folder and read what is there.", writer, "Links in the folder; what they lead to is scanned as itself."),
		},
	}
}
