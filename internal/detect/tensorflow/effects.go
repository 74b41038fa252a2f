package tensorflow

import (
	"strings"

	"github.com/weightwarden/weightwarden/internal/finding"
	format "github.com/weightwarden/weightwarden/internal/format/tensorflow"
)

// effect is what an operator does beside computing.
type effect uint8

const (
	// writes and python have no harmless reading.
	writes effect = iota + 1
	python
	// reads is malicious when the path is a constant.
	reads
	// database is malicious when the connection is a constant.
	database
	// saves are in every model; a constant path that leads out is suspicious.
	saves
	// looksUp reads a vocabulary; a constant path that leads out, and is none
	// of the model's assets, is malicious.
	looksUp
	// prints may be told to write to a file.
	prints
	// reaches covers the rest: files, other hosts, the process itself.
	reaches
)

// effects are the operators that reach files, connections or the process.
var effects = map[string]effect{
	"ReadFile": reads, "WriteFile": writes, "PyFunc": python, "PyFuncStateless": python, "EagerPyFunc": python,
	"SqlDataset": database, "ExperimentalSqlDataset": database, "PrintV2": prints,
	"Save": saves, "SaveV2": saves, "SaveSlices": saves, "ShardedFilename": saves, "ShardedFilespec": saves, "MergeV2Checkpoints": saves,
	"RestoreV2": saves, "Restore": saves, "RestoreSlice": saves,
	"InitializeTableFromTextFile": looksUp, "InitializeTableFromTextFileV2": looksUp, "InitializeTableFromDataset": looksUp,
	"MatchingFiles": reaches, "MatchingFilesDataset": reaches, "Abort": reaches, "LoadAndRemapMatrix": reaches, "ImmutableConst": reaches,
	"TextLineDataset": reaches, "FixedLengthRecordDataset": reaches, "FixedLengthRecordDatasetV2": reaches, "TFRecordDataset": reaches, "TFRecordDatasetV2": reaches,
	"Send": reaches, "Recv": reaches, "RpcCall": reaches, "TryRpc": reaches, "RpcClient": reaches, "Rpc": reaches, "XlaSendToHost": reaches, "XlaRecvFromHost": reaches,
	"DatasetToTFRecord": reaches, "CreateSummaryFileWriter": reaches, "CreateSummaryDbWriter": reaches, "ImportEvent": reaches, "CSVDataset": reaches, "CSVDatasetV2": reaches,
	"ListDataset": reaches, "BigQueryReader": reaches, "LMDBReader": reaches, "LMDBDataset": reaches, "GcsConfigureCredentials": reaches, "GcsConfigureBlockCache": reaches,
	"DisableCopyOnRead": saves,
}

// families are operators that share the start of their name.
var families = []struct {
	prefix string
	effect effect
}{
	{"TextLineReader", reaches},
	{"WholeFileReader", reaches},
	{"FixedLengthRecordReader", reaches},
	{"TFRecordReader", reaches},
	{"IdentityReader", reaches},
	{"Reader", reaches},
	{"CacheDataset", reaches},
	{"SaveDataset", reaches},
	{"LoadDataset", reaches},
	{"SnapshotDataset", reaches},
	{"AssertPrevDataset", reaches},
	{"DataServiceDataset", reaches},
	{"RegisterDataset", reaches},
	{"_Send", reaches},
	{"_Recv", reaches},
	{"_HostSend", reaches},
	{"_HostRecv", reaches},
	{"Collective", reaches},
	{"TPU", reaches},
	{"_TPU", reaches},
	{"RpcServer", reaches},
	{"DebugIdentity", reaches},
	{"DebugNumericSummary", reaches},
	{"DebugNanCount", reaches},
	{"WriteSummary", reaches},
	{"WriteImageSummary", reaches},
	{"WriteAudioSummary", reaches},
	{"WriteHistogramSummary", reaches},
	{"WriteScalarSummary", reaches},
	{"WriteGraphSummary", reaches},
	{"WriteRawProtoSummary", reaches},
	{"SummaryWriter", reaches},
	{"CloseSummaryWriter", reaches},
	{"Experimental", reaches},
	{"PyFunc", python},
}

func effectOf(op string) effect {
	if e, ok := effects[op]; ok {
		return e
	}
	for _, f := range families {
		if strings.HasPrefix(op, f.prefix) {
			return f.effect
		}
	}
	return 0
}

// tracer finds the text constants that a graph's values come from.
type tracer struct {
	nodes  map[string]*format.Node
	assets map[string]bool
}

func newTracer(g *format.Graph, assets map[string]bool) tracer {
	t := tracer{map[string]*format.Node{}, assets}
	for _, n := range g.Nodes {
		t.nodes[n.Name] = n
	}
	return t
}

// passes are operators that hand text on.
var passes = words(`Identity IdentityN StringJoin Reshape ExpandDims Pack ConcatV2 Concat EnsureShape PlaceholderWithDefault Squeeze StringFormat AsString Fill Tile BroadcastTo`)

// constants returns the texts that the inputs of a node are made of. Those that
// a loader replaces by the path of an asset are left out.
func (t tracer) constants(n *format.Node) (texts []string) {
	todo, seen := []*format.Node{n}, map[*format.Node]bool{}
	for len(todo) > 0 && len(seen) < 100 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, input := range n.Inputs {
			name, _, _ := strings.Cut(strings.TrimPrefix(input, "^"), ":")
			from := t.nodes[name]
			if from == nil || seen[from] || strings.HasPrefix(input, "^") || t.assets[name] {
				continue
			}
			seen[from] = true
			switch {
			case from.Op == "Const" || from.Op == "HostConst":
				texts = append(texts, textsOf(from)...)
			case passes[from.Op]:
				todo = append(todo, from)
			}
		}
	}
	return texts
}

func textsOf(n *format.Node) (texts []string) {
	for _, a := range n.Texts {
		if a.Attribute == "value" {
			texts = append(texts, a.Values...)
		}
	}
	return texts
}

// all returns the text constants of the whole graph, for nodes whose inputs are
// not named.
func (t tracer) all() (texts []string) {
	for _, n := range t.nodes {
		if n.Op == "Const" {
			texts = append(texts, textsOf(n)...)
		}
	}
	return texts
}

// leadsOut reports whether a path is none below the folder it starts from.
func leadsOut(p string) bool {
	return strings.HasPrefix(p, "/") || strings.Contains(p, "://") || strings.Contains(p, `\`) || strings.Contains(p, "\x00") ||
		p == ".." || strings.HasPrefix(p, "../") || strings.Contains(p, "/../") || strings.HasSuffix(p, "/..") || len(p) > 1 && p[1] == ':'
}

// firstOut returns the first path that leads out.
func firstOut(paths []string) (string, bool) {
	for _, p := range paths {
		if leadsOut(p) {
			return p, true
		}
	}
	return "", false
}

// judgement is what is said about a node; the zero value says nothing.
type judgement struct {
	rule    string
	verdict finding.Verdict
	text    string
	about   string // a path
}

// judge says what a node with an effect is.
func (t tracer) judge(n *format.Node, e effect) judgement {
	switch e {
	case writes:
		return judgement{rule: ruleFile, text: "writes a file", about: one(t.constants(n))}
	case python:
		return judgement{rule: rulePython, text: "runs a Python function"}
	case reads, database:
		texts := t.constants(n)
		if len(n.Inputs) == 0 {
			texts = t.all()
		}
		what := "reads a file"
		if e == database {
			what = "queries a database"
		}
		if len(texts) > 0 {
			return judgement{rule: ruleFile, text: what, about: one(texts)}
		}
		return judgement{rule: ruleReach, text: what + " that the caller names"}
	case saves:
		if p, out := firstOut(t.constants(n)); out {
			return judgement{rule: rulePath, verdict: finding.Suspicious, text: "saves to or restores from a path of its own", about: p}
		}
	case looksUp:
		if p, out := firstOut(t.constants(n)); out {
			return judgement{rule: rulePath, text: "reads a vocabulary that is no asset", about: p}
		}
	case prints:
		for _, a := range n.Texts {
			if a.Attribute == "output_stream" && strings.HasPrefix(one(a.Values), "file://") {
				return judgement{rule: ruleReach, text: "prints to a file", about: one(a.Values)}
			}
		}
	case reaches:
		return judgement{rule: ruleReach, text: "reaches a file, another host or the process"}
	}
	return judgement{}
}

func one(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}
