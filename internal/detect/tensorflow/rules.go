package tensorflow

import (
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// The rules.
const (
	ruleUnread  = "WW-TENSORFLOW-001"
	ruleUnknown = "WW-TENSORFLOW-002"
	ruleFile    = "WW-TENSORFLOW-003"
	rulePython  = "WW-TENSORFLOW-004"
	ruleReach   = "WW-TENSORFLOW-005"
	rulePath    = "WW-TENSORFLOW-006"
	ruleAsset   = "WW-TENSORFLOW-007"
	ruleCustom  = "WW-TENSORFLOW-008"
	ruleLambda  = "WW-TENSORFLOW-009"
	ruleTable   = "WW-TENSORFLOW-010"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const (
		dont = "Do not load the model, and do not run it: graphs run their operators when they are called, and some when they are loaded. Find out who made it."
		ask  = "Find out what the operator is for. A model that is served computes, and reads nothing but its own variables and assets."
	)
	rule := func(id, title string, s finding.Severity, v finding.Verdict, technique, about, do, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{technique}, About: about, Do: do, Misses: misses, Cases: cases}
	}
	formats := []artifact.Format{artifact.SavedModel, artifact.MetaGraph, artifact.GraphDef, artifact.KerasMetadata, artifact.Fingerprint, artifact.Checkpoint}
	return detect.Info{
		Name: "tensorflow", Formats: formats, Covers: formats,
		Rules: []detect.Rule{
			rule(ruleUnread, "TensorFlow model that cannot be read", finding.Medium, finding.Inconclusive, "AML.T0076",
				"The model is malformed, ends early, or has more nodes or text than this program keeps.", "Fetch the file again from a source that is verified.", "Everything behind the place."),
			rule(ruleUnknown, "unknown parts in a TensorFlow model", finding.Medium, finding.Inconclusive, "AML.T0076",
				"The model has fields that the schema does not know, or a description of an object that is no JSON. What a loader does with them is not known.", "Look whether a newer version of this program knows them.", "What is in them."),
			rule(ruleFile, "a TensorFlow graph that reads or writes a file of its own choice", finding.Critical, finding.Malicious, "AML.T0011.000",
				"An operator of the graph, or of one of its functions, writes a file, or reads one or queries a database that a constant of the graph names. Running the graph does it on the host that serves the model.", dont, "Paths that are put together from numbers.", 68, 30),
			rule(rulePython, "a TensorFlow graph that runs Python", finding.Critical, finding.Malicious, "AML.T0050",
				"An operator calls a Python function of the process by its token.", dont, "Nothing known.", 68),
			rule(ruleReach, "a TensorFlow graph that reaches beyond itself", finding.High, finding.Suspicious, "AML.T0011.000",
				"An operator reads or writes files, talks to other hosts, stops the process, or reports values to an address: datasets, readers, summaries, debugging, collectives, remote calls.", ask, "What the operator is given when it runs.", 68, 30),
			rule(rulePath, "a constant path that leads out of a TensorFlow model", finding.High, finding.Malicious, "AML.T0011.000",
				"A vocabulary is read from a path that is absolute or leads out, and is none of the model's assets. For operators that save and restore, which are in every model, such a path is suspicious.", ask, "Paths that the caller gives.", 68, 65),
			rule(ruleAsset, "an asset that leads out of a TensorFlow model", finding.Critical, finding.Malicious, "AML.T0011.000",
				"The name of an asset is absolute or has `..`: loaders join it with the folder of assets.", dont, "Links in the folder; what they lead to is scanned as itself.", 50),
			rule(ruleCustom, "unknown operators in a TensorFlow model", finding.Medium, finding.Suspicious, "AML.T0011.001",
				"An operator is not among those of TensorFlow that this program knows to compute only, and the model does not define it as a function. Custom operators are native code that somebody has to load.", "Find out which library registers the operator; allow it by policy, as module `tensorflow`, when it is known.", "What the operator does.", 68),
			rule(ruleLambda, "a Keras Lambda in a SavedModel", finding.Critical, finding.Malicious, "AML.T0011.000",
				"The description of a saved layer names the class Lambda, which is restored from marshalled code when Keras loads the model.", dont, "Custom classes; their code is not in the model.", 59),
			rule(ruleTable, "a TensorFlow checkpoint that contradicts itself", finding.Medium, finding.Suspicious, "AML.T0076",
				"The index of a checkpoint names a variable twice or out of order, has bytes that belong to nothing, or gives variables a place that overlaps, leaves a hole, or does not fit their shape or the file of data.", "Find out what wrote the checkpoint.", "The numbers themselves, and the checksums of them."),
		},
	}
}
