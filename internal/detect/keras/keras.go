// Package keras judges the configurations of Keras models, wherever they
// stand: config.json of a .keras archive, attributes of legacy HDF5 files,
// plain JSON. Each object that names a class is judged by what Keras brings
// along; what is not known is a custom object, and what reaches code, files or
// connections is malicious. Weights and the containers have their own
// detectors, and whether a custom class is harmless is not known here.
package keras

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/json"
)

// Detector judges configurations of Keras.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// The rules.
const (
	ruleLambda     = "WW-KERAS-001"
	ruleForeign    = "WW-KERAS-002"
	ruleCustom     = "WW-KERAS-003"
	ruleGadget     = "WW-KERAS-004"
	ruleUnsafe     = "WW-KERAS-005"
	ruleTorch      = "WW-KERAS-006"
	ruleVocabulary = "WW-KERAS-007"
	ruleTFSM       = "WW-KERAS-008"
	ruleNoCode     = "WW-KERAS-009"
)

// Info implements [detect.Detector].
func (Detector) Info() detect.Info {
	const look = "Do not load the model, not even with safe_mode: versions of Keras differ in what that prevents. Compare the configuration with the version that was deployed before."
	rule := func(id, title string, s finding.Severity, v finding.Verdict, about, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: []string{"AML.T0011.000", "AML.T0018.002"}, About: about, Do: look, Misses: misses, Cases: cases}
	}
	mal, sus := finding.Malicious, finding.Suspicious
	return detect.Info{
		Name: "keras", Formats: []artifact.Format{artifact.JSON},
		Rules: []detect.Rule{
			rule(ruleLambda, "Python code in a Keras model", finding.Critical, mal, "The configuration holds compiled Python (a Lambda layer, at any depth, in the layout of Keras 2 or 3). Keras 2 runs it on load, Keras 3 does when safe_mode is off, and for legacy HDF5 files it did in spite of safe_mode up to 3.11.2 (CVE-2024-3660, CVE-2025-9905).", "What the code does: it is not decompiled.", 59, 63),
			rule(ruleForeign, "a Keras configuration names what runs code", finding.Critical, mal, "A module of Python's standard library, a built-in function, or a function of a library that is no layer is named where Keras imports and calls what it is told (CVE-2025-1550, before 3.9).", "Classes of unknown packages are custom objects.", 60),
			rule(ruleCustom, "a custom object in a Keras model", finding.Medium, sus, "The configuration names a class or function that Keras does not bring along. Its package is imported, or it has to be registered, before the model loads.", "What the class does."),
			rule(ruleGadget, "a function of Keras that reaches files or the network", finding.Critical, mal, "The configuration calls something inside Keras that downloads, unpacks, loads or writes, such as get_file (CVE-2025-8747, before 3.11).", "Functions that later versions of Keras add; those not known are custom objects.", 61),
			rule(ruleUnsafe, "a Keras configuration switches safe mode off", finding.Critical, mal, "Loading calls enable_unsafe_deserialization before the layers behind it are read (CVE-2025-9906, before 3.11).", "Nothing known.", 62),
			rule(ruleTorch, "a torch module in a Keras model", finding.Critical, mal, "TorchModuleWrapper unpickles the module that it holds (CVE-2025-49655, Keras 3.11.0 to 3.11.2). What it holds was scanned.", "Nothing known.", 64),
			rule(ruleVocabulary, "a vocabulary that is read from somewhere", finding.High, mal, "A layer's vocabulary is a path or an address, which Keras opens on load and whose lines become part of the model (CVE-2025-12058, before 3.11.4). A saved model has its vocabulary inside.", "Nothing known.", 65),
			rule(ruleTFSM, "a layer that loads another model", finding.High, mal, "TFSMLayer loads a TensorFlow SavedModel from a path, with all its operators, whatever safe_mode says (CVE-2026-1462, before 3.13.2).", "The model at that path: scan it too.", 67),
			rule(ruleNoCode, "a layer whose function is elsewhere", finding.Medium, sus, "A Lambda, JaxLayer or FlaxLayer names a function that is not in the file. Who loads the model has to bring it.", "What the function does.", 59),
		},
	}
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	if may, err := json.Mentions(io.NewSectionReader(in.Data, 0, in.Data.Size()), "class_name"); !may || err != nil {
		return err
	}
	j := &judge{ctx: ctx, in: in, out: out}
	err := json.Walk(in.Data, json.Limits{Lines: true}, j)
	if errors.Is(err, json.ErrMalformed) || errors.Is(err, json.ErrLimit) {
		return nil // the detector that covers JSON says so
	}
	return err
}

// judge takes the objects of one configuration.
type judge struct {
	ctx context.Context //nolint:containedctx // lives as long as one Detect
	in  detect.Input
	out detect.Sink
}

func (j *judge) hit(rule string, p json.Path, at int64, name, text string, args ...any) {
	j.out.Hit(detect.Hit{Rule: rule, Offset: at, Name: name, Node: p.String(), Summary: fmt.Sprintf(text, args...)})
}
