// Package tensorflow accounts for SavedModels, MetaGraphs and GraphDefs: every
// operator of every graph and of every function is looked up among those that
// compute and those that reach files, other hosts or Python; paths are followed
// back to their constants; the layers that Keras describes beside the graph are
// looked at for code. It knows no shapes, and not what a graph computes.
package tensorflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/format/jsontoken"
	format "github.com/weightwarden/weightwarden/internal/format/tensorflow"
)

// Detector accounts for TensorFlow's models.
type Detector struct{}

// New returns the detector.
func New() Detector { return Detector{} }

// kinds are the formats and what the reader calls them.
var kinds = map[artifact.Format]format.Kind{
	artifact.SavedModel: format.SavedModel, artifact.MetaGraph: format.MetaGraph, artifact.GraphDef: format.GraphDef,
	artifact.KerasMetadata: format.KerasMetadata, artifact.Fingerprint: format.Fingerprint,
}

// examiner is a model while it is judged.
type examiner struct {
	in   detect.Input
	out  detect.Sink
	m    *format.Model
	hits map[string]int
	// functions are those that the model defines.
	functions, assets map[string]bool
	told              map[string]bool
}

// Detect implements [detect.Detector].
func (Detector) Detect(ctx context.Context, in detect.Input, out detect.Sink) error {
	if in.Format == artifact.Checkpoint {
		return checkpoint(ctx, in, out)
	}
	m, err := format.Read(in.Data, in.Data.Size(), kinds[in.Format], format.Limits{})
	switch {
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrLimit):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	x := &examiner{in: in, out: out, m: m, hits: map[string]int{}, functions: map[string]bool{}, assets: map[string]bool{}, told: map[string]bool{}}
	for _, u := range m.Unknown {
		x.hit(detect.Hit{Rule: ruleUnknown, Offset: u.Offset, Summary: u.Text})
	}
	x.files()
	for _, g := range m.Graphs {
		if g.Function != "" {
			x.functions[g.Function] = true
		}
	}
	for _, g := range m.Graphs {
		if err := ctx.Err(); err != nil {
			return err
		}
		x.graph(g)
	}
	return x.objects()
}

// maxOfARule is how many hits of one rule are reported in full.
const maxOfARule = 50

func (x *examiner) hit(h detect.Hit) {
	if x.hits[h.Rule]++; x.hits[h.Rule] <= maxOfARule {
		x.out.Hit(h)
	}
}

// files judges the names of assets, which loaders join with a folder.
func (x *examiner) files() {
	for _, a := range x.m.Assets {
		name, _, _ := strings.Cut(a.Tensor, ":")
		x.assets[name] = true
		if leadsOut(a.File) {
			x.hit(detect.Hit{Rule: ruleAsset, Offset: a.Offset, Name: a.File, Summary: fmt.Sprintf("the asset %.120q leads out of the model", a.File)})
		}
	}
}

// graph judges every node of a graph or function.
func (x *examiner) graph(g *format.Graph) {
	t := newTracer(g, x.assets)
	for _, n := range g.Nodes {
		where := n.Name
		if g.Function != "" {
			where = "function " + g.Function + ", " + n.Name
		}
		if e := effectOf(n.Op); e != 0 {
			if j := t.judge(n, e); j.rule != "" {
				x.hit(detect.Hit{
					Rule: j.rule, Verdict: j.verdict, Offset: n.Offset, Name: n.Op, Node: where, Evidence: []byte(j.about),
					Summary: fmt.Sprintf("the operator %s %s%s", artifact.Quote(n.Op), j.text, quoted(j.about)),
				})
			}
			continue
		}
		if standard[n.Op] || x.functions[n.Op] || x.told[n.Op] || x.in.Allowed != nil && x.in.Allowed.Allows("tensorflow", n.Op) {
			continue
		}
		x.told[n.Op] = true
		x.hit(detect.Hit{
			Rule: ruleCustom, Offset: n.Offset, Name: n.Op, Node: where,
			Summary: fmt.Sprintf("the operator %.80q is not among those of TensorFlow that are known to compute only", n.Op),
		})
	}
}

func quoted(about string) string {
	if about == "" {
		return ""
	}
	return fmt.Sprintf(": %.120q", about)
}

// objects looks at the layers that Keras describes in JSON.
func (x *examiner) objects() error {
	for _, o := range x.m.Objects {
		r := jsontoken.New(io.NewSectionReader(x.in.Data, o.Offset, o.Length), o.Offset, jsontoken.Limits{Depth: 200})
		class := ""
		for {
			t, err := r.Next()
			if errors.Is(err, io.EOF) && !errors.Is(err, jsontoken.ErrMalformed) {
				break
			}
			if errors.Is(err, jsontoken.ErrMalformed) || errors.Is(err, jsontoken.ErrLimit) {
				x.hit(detect.Hit{Rule: ruleUnknown, Offset: o.Offset, Length: o.Length, Name: o.Identifier, Summary: fmt.Sprintf("the description of a saved %.80q is no JSON: %v", o.Identifier, err)})
				break
			}
			if err != nil {
				return err
			}
			if class == "class_name" && t.Kind == jsontoken.String && t.Text == "Lambda" {
				x.hit(detect.Hit{Rule: ruleLambda, Offset: t.Offset, Length: int64(len(t.Text)) + 2, Name: cmp.Or(o.Identifier, "Lambda"), Summary: "a layer of Keras is a Lambda, whose code is in the model"})
			}
			class = ""
			if t.Kind == jsontoken.Key {
				class = t.Text
			}
		}
	}
	return nil
}
