package onnx

import (
	"fmt"
	"strings"

	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/onnx"
)

// flow is what is known about where a value comes from.
type flow uint8

const (
	// input: it depends on what the model is given, and not only on its shape.
	input flow = 1 << iota
	// learned: something with weights lies between.
	learned
	// reduced: many numbers became one, or one of them was picked.
	reduced
	// compared: a comparison lies between.
	compared
)

// mark reports whether a value is a mark that was made of the raw input.
func (f flow) mark() bool {
	return f&(input|compared|reduced) == input|compared|reduced && f&learned == 0
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// What operators do to a flow. Those that are in no list pass it on.
var (
	shapes      = set("Shape", "Size", "ConstantOfShape", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "EyeLike", "Constant")
	comparisons = set("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "StringNormalizer", "RegexFullMatch")
	reductions  = set("ArgMax", "ArgMin", "Gather", "GatherND", "GatherElements", "Slice", "TopK", "Compress", "NonZero", "GlobalMaxPool", "GlobalAveragePool", "Split", "SequenceAt", "Unique")
	weighted    = set("MatMul", "Gemm", "Conv", "ConvTranspose", "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "LSTM", "GRU", "RNN", "Einsum",
		"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble", "SVMClassifier", "SVMRegressor", "LinearClassifier", "LinearRegressor",
		"BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "Attention", "MultiHeadAttention", "TfIdfVectorizer", "Loop", "Scan")
	// tails are what may stand between a choice and the output.
	tails = set("Identity", "Cast", "CastLike", "Softmax", "LogSoftmax", "Sigmoid", "Tanh", "Relu", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Add", "Sub",
		"Mul", "Div", "Max", "Min", "Clip", "Where", "Transpose", "Concat", "ArgMax", "Sum", "Expand", "Tile", "Hardmax", "If", "ZipMap")
)

// maxTail is how many of them.
const maxTail = 12

// tracer follows values through a graph.
type tracer struct {
	flows map[string]flow
	users map[string][]*format.Node
	outs  map[string]bool
}

// trigger looks for a node that chooses by a mark of the input between what
// depends on the input and a constant, close to the output.
func (x *examiner) trigger(g *format.Graph) {
	t := tracer{flows: map[string]flow{}, users: map[string][]*format.Node{}, outs: set(g.Outputs...)}
	constant := set(g.Initializers...)
	for _, name := range g.Inputs {
		if !constant[name] { // old models list their weights as inputs, too
			t.flows[name] = input
		}
	}
	for _, n := range g.Nodes {
		for _, name := range n.Inputs {
			t.users[name] = append(t.users[name], n)
		}
	}
	for _, n := range g.Nodes {
		if why := t.chooses(n); why != "" && t.ends(n) {
			x.hit(detect.Hit{
				Rule: ruleTrigger, Offset: n.Offset, Name: n.Op, Node: place(n),
				Summary: fmt.Sprintf("the node %.80q %s right before the output", place(n), why),
			})
		}
		f := t.step(n)
		for _, name := range n.Outputs {
			t.flows[name] = f
		}
	}
}

// of returns the flow of an input of a node; absent ones have none.
func (t *tracer) of(n *format.Node, i int) flow {
	if i >= len(n.Inputs) {
		return 0
	}
	return t.flows[n.Inputs[i]]
}

// step returns the flow behind a node.
func (t *tracer) step(n *format.Node) flow {
	if shapes[n.Op] {
		return 0
	}
	f := t.captured(n)
	for i := range n.Inputs {
		f |= t.of(n, i)
	}
	switch {
	case f&input == 0:
		return 0
	case weighted[n.Op], n.Op == "Gather" && t.of(n, 0)&input == 0: // a look-up in weights
		return input | learned
	case comparisons[n.Op]:
		return f | compared
	case n.Op == "ReduceSum" || n.Op == "ReduceMean" || n.Op == "CumSum": // how often is no mark until it is compared
		return f&^compared | reduced
	case reductions[n.Op], strings.HasPrefix(n.Op, "Reduce"):
		return f | reduced
	}
	return f
}

// captured is the flow of what the graphs in a node take from around it.
func (t *tracer) captured(n *format.Node) (f flow) {
	for _, b := range n.Graphs {
		f |= t.within(b.Graph)
	}
	return f
}

// within is the flow of everything that a graph takes from around it.
func (t *tracer) within(g *format.Graph) (f flow) {
	todo := []*format.Graph{g}
	for len(todo) > 0 {
		g := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, name := range g.Outputs {
			f |= t.flows[name]
		}
		for _, n := range g.Nodes {
			for _, name := range n.Inputs {
				f |= t.flows[name]
			}
			if weighted[n.Op] {
				f |= learned
			}
			for _, b := range n.Graphs {
				todo = append(todo, b.Graph)
			}
		}
	}
	return f
}

// chooses says how a node chooses by a mark, or nothing.
func (t *tracer) chooses(n *format.Node) string {
	switch n.Op {
	case "Where":
		if t.of(n, 0).mark() && t.of(n, 1)&input != t.of(n, 2)&input {
			return "answers with a constant when a mark of the input matches,"
		}
	case "Mul":
		for i := range n.Inputs {
			if t.of(n, i).mark() {
				return "scales by a mark of the input that was compared,"
			}
		}
	case "If":
		if len(n.Graphs) == 2 && t.of(n, 0)&(input|compared|learned) == input|compared &&
			t.within(n.Graphs[0].Graph)&input != t.within(n.Graphs[1].Graph)&input {
			return "answers with a constant when a comparison of the input holds,"
		}
	}
	return ""
}

// ends reports whether the outputs of a node get to the model's outputs with
// nothing but final operators between.
func (t *tracer) ends(n *format.Node) bool {
	todo, seen := []*format.Node{n}, map[*format.Node]bool{n: true}
	for range maxTail {
		var next []*format.Node
		for _, n := range todo {
			for _, name := range n.Outputs {
				if t.outs[name] {
					return true
				}
				for _, user := range t.users[name] {
					if tails[user.Op] && !seen[user] {
						seen[user] = true
						next = append(next, user)
					}
				}
			}
		}
		todo = next
	}
	return false
}
