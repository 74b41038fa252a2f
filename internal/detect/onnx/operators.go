package onnx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/onnx"
)

// domains are the sets of operators that ONNX and ONNX Runtime come with.
var domains = []string{
	"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training",
	"com.microsoft", "com.microsoft.nchwc", "com.microsoft.dml", "com.microsoft.experimental", "com.ms.internal.nhwc",
}

// python are operators that run a function of the process.
var python = []string{"PyOp", "PyCustomOp", "PythonOp", "PythonOpGrad", "PyFunc"}

// leadsAway is what a link has that leads out of the tree.
func leadsAway() (finding.Verdict, finding.Severity) { return finding.Malicious, finding.Critical }

// operators looks at what every node calls.
func (x *examiner) operators() {
	own := map[[2]string]bool{}
	for _, f := range x.m.Functions {
		own[[2]string{f.Domain, f.Name}] = true
	}
	told := map[[2]string]bool{}
	x.walk(func(n *format.Node) {
		key := [2]string{n.Domain, n.Op}
		switch {
		case told[key] || own[key]:
		case slices.Contains(python, n.Op) || strings.HasPrefix(n.Op, "PyOp"):
			told[key] = true
			x.hit(detect.Hit{
				Rule: rulePython, Offset: n.Offset, Name: operator(n), Node: place(n),
				Summary: fmt.Sprintf("a node calls the operator %.80q, which runs Python", operator(n)),
			})
		case slices.Contains(domains, n.Domain):
		case x.in.Allowed != nil && x.in.Allowed.Allows(n.Domain, n.Op):
		default:
			told[key] = true
			x.hit(detect.Hit{
				Rule: ruleCustom, Offset: n.Offset, Name: operator(n), Node: place(n),
				Summary: fmt.Sprintf("a node calls the operator %.80q of the domain %.80q, which needs native code", n.Op, n.Domain),
			})
		}
		if strings.HasPrefix(n.Domain, "com.microsoft") {
			x.out.Fact("uses operators of ONNX Runtime beyond the standard")
		}
	})
}

func operator(n *format.Node) string {
	if n.Domain == "" {
		return n.Op
	}
	return n.Domain + "::" + n.Op
}

// place says where a node is.
func place(n *format.Node) string {
	name := n.Name
	if name == "" && len(n.Outputs) > 0 {
		name = "→ " + n.Outputs[0]
	}
	if n.Where == "" {
		return name
	}
	return n.Where + ", " + name
}

// walk calls f for every node of every graph and function.
func (x *examiner) walk(f func(*format.Node)) {
	var todo []*format.Graph
	if x.m.Graph != nil {
		todo = append(todo, x.m.Graph)
	}
	todo = append(todo, x.m.Training...)
	for _, fn := range x.m.Functions {
		todo = append(todo, &fn.Graph)
	}
	for len(todo) > 0 {
		g := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, n := range g.Nodes {
			f(n)
			for _, b := range n.Graphs {
				todo = append(todo, b.Graph)
			}
		}
	}
}
