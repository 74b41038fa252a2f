package onnx

import (
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// The rules.
const (
	ruleUnread   = "WW-ONNX-001"
	ruleUnknown  = "WW-ONNX-002"
	ruleLeadsOut = "WW-ONNX-003"
	ruleEntry    = "WW-ONNX-004"
	ruleLink     = "WW-ONNX-005"
	rulePython   = "WW-ONNX-006"
	ruleCustom   = "WW-ONNX-007"
	ruleTrigger  = "WW-ONNX-008"
	ruleShape    = "WW-ONNX-009"
	ruleDeep     = "WW-ONNX-010"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const (
		dont   = "Do not load the model, and do not save it again: writing external data follows the same path. Find out who made it."
		writer = "Find out what wrote the model. The exporters in use do not write this."
	)
	rule := func(id, title string, s finding.Severity, v finding.Verdict, technique, about, do, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{technique}, About: about, Do: do, Misses: misses, Cases: cases}
	}
	return detect.Info{
		Name:    "onnx",
		Formats: []artifact.Format{artifact.ONNX, artifact.ExternalData},
		Covers:  []artifact.Format{artifact.ONNX, artifact.ExternalData},
		Rules: []detect.Rule{
			rule(ruleUnread, "ONNX model that cannot be read", finding.Medium, finding.Inconclusive, "AML.T0076",
				"The model is malformed, ends early, or has more nodes or tensors than this program keeps.", "Fetch the file again from a source that is verified.", "Everything behind the place."),
			rule(ruleUnknown, "unknown parts in an ONNX model", finding.Medium, finding.Inconclusive, "AML.T0076",
				"The model has fields that the schema does not know, or a tensor of an unknown type. What a loader does with them is not known.", "Look whether a newer version of this program knows them.", "What is in them."),
			rule(ruleLeadsOut, "external data of an ONNX model leads out", finding.Critical, finding.Malicious, "AML.T0011.000",
				"A tensor says that its bytes are in a file outside of the model's folder: by an absolute path, `..`, a drive, a backslash, an address, or no name at all. Loading reads that file, and saving the model writes to it. Every tensor was looked at: initializers, sparse ones, attributes, graphs in attributes, functions and training.", dont, "Links, which are another rule.", 69, 71),
			rule(ruleEntry, "impossible external data in an ONNX model", finding.High, finding.Malicious, "AML.T0011.000",
				"An entry about external data has a key that the format does not have, which some loaders turn into attributes of their own objects, or an offset or length that is no number from zero on, that the shape and type do not make, or that lies behind the end of the file or of any file.", dont, "Values of `checksum` and `basepath`.", 70, 71),
			rule(ruleLink, "external data of an ONNX model through a link", finding.High, finding.Suspicious, "AML.T0011.000",
				"The file with a tensor's bytes is a link, is reached through one, has more than one name, or is no regular file; loaders read what the link leads to. It is malicious where the link leads out of the model's tree. The links of a Hugging Face cache are as they should be.", dont, "Members of archives, whose links are judged as such.", 69),
			rule(rulePython, "an ONNX model that runs Python", finding.Critical, finding.Malicious, "AML.T0050",
				"A node calls an operator that runs a Python function of the process that loads the model.", "Find out which function is meant, and who registers it.", "Python behind custom operators of other names.", 72),
			rule(ruleCustom, "custom operators in an ONNX model", finding.Medium, finding.Suspicious, "AML.T0011.001",
				"A node calls an operator of a domain that is neither part of ONNX nor of ONNX Runtime, and that the model does not define itself: it runs only with a library of native code that somebody has to install.", "Find out which library it wants and where that comes from; allow the domain by policy when it is yours.", "What the library does.", 72),
			rule(ruleTrigger, "an ONNX graph with a built-in trigger", finding.High, finding.Suspicious, "AML.T0018.001",
				"The graph reduces its input to a mark, compares it with something, and by that chooses between its answer and a constant right before its output. A backdoor without code looks like this: it survives conversion and fine-tuning. The finding names the node that chooses.", "Compare the graph with that of a version that is verified. Feed inputs on both sides of the comparison.", "Triggers that are learned, that work in the middle of the network, or that lie in functions and loops.", 73),
			rule(ruleShape, "an ONNX model that contradicts itself", finding.Medium, finding.Suspicious, "AML.T0076",
				"A tensor has another number of bytes than its shape and type make, negative or overflowing dimensions, or data in several places; or there are two graphs. Readers differ in what they load.", writer, "The number of elements of varying width, which is not counted."),
			rule(ruleDeep, "an ONNX model nested too deep", finding.Medium, finding.Suspicious, "AML.T0029",
				"Graphs lie in graphs beyond any model's needs. Readers that recurse run out of stack.", writer, "What is in the graphs below.", 71),
		},
	}
}
