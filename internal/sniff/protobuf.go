package sniff

import (
	"bytes"
	"io"
	"regexp"
	"strings"

	"github.com/weightwarden/weightwarden/internal/format/onnx"
	"github.com/weightwarden/weightwarden/internal/format/protobuf"
)

// Protocol buffers have no signature. What they are is guessed from the numbers
// of the first fields, all of which have to fit; a message that goes on beyond
// the head is read there.

// fields are the fields of a message as far as they can be read. whole says
// that the message was read to its end.
func (p *probe) fields(most int) (list []protobuf.Field, s *protobuf.Source, whole bool) {
	data := p.data
	if data == nil {
		data = bytes.NewReader(p.head)
	}
	return first(protobuf.New(data, p.size, protobuf.Limits{Fields: 2000}), nil, most)
}

// first returns the first fields of a message, that of the source when in is
// nil.
func first(s *protobuf.Source, in *protobuf.Field, most int) (list []protobuf.Field, _ *protobuf.Source, whole bool) {
	m := s.Root()
	if in != nil {
		m = s.Sub(*in)
	}
	for len(list) < most {
		f, err := m.Next()
		if err != nil {
			return list, s, err == io.EOF //nolint:errorlint // the end itself, not a read error that wraps it
		}
		list = append(list, f)
	}
	return list, s, true
}

// is reports whether a field has that number and is text, bytes or a message.
func is(f protobuf.Field, number int32) bool { return f.Number == number && f.Wire == protobuf.Bytes }

// isONNX wants the version of the format and a graph, and no field that a model
// does not have.
func isONNX(p *probe) bool {
	list, _, _ := p.fields(64)
	version, graph := false, false
	for _, f := range list {
		if !onnx.IsModelField(f) {
			return false
		}
		version = version || f.Number == 1 && f.Value >= 1 && f.Value < 100
		graph = graph || is(f, 7)
	}
	return version && (graph || named(".onnx")(p))
}

// isSavedModel wants the version 1 and a graph with its description.
func isSavedModel(p *probe) bool {
	list, s, whole := p.fields(16)
	if !whole || len(list) < 2 || list[0].Number != 1 || list[0].Wire != protobuf.Varint || list[0].Value != 1 {
		return false
	}
	for _, f := range list[1:] {
		if !is(f, 2) || !isMeta(s, &f) {
			return false
		}
	}
	return true
}

// isMeta reports whether a message has only fields of a MetaGraphDef, and a
// graph among them.
func isMeta(s *protobuf.Source, in *protobuf.Field) bool {
	list, _, whole := first(s, in, 64)
	graph := false
	for _, f := range list {
		if f.Wire != protobuf.Bytes || f.Number > 7 {
			return false
		}
		if f.Number == 2 {
			graph = true
			if inner, _, ok := first(s, &f, 1); !ok || len(inner) > 0 && inner[0].Wire != protobuf.Bytes {
				return false
			}
		}
	}
	return whole && graph
}

// isMetaGraph wants a MetaGraphDef whose graph has nodes.
func isMetaGraph(p *probe) bool {
	list, s, _ := p.fields(8)
	if len(list) == 0 || !isMeta(s, nil) {
		return false
	}
	for _, f := range list {
		if f.Number == 2 {
			nodes, _, _ := first(s, &f, 1)
			return len(nodes) == 1 && isNode(s, nodes[0])
		}
	}
	return false
}

// isGraphDef wants nodes, each of which has a name and an operator.
func isGraphDef(p *probe) bool {
	list, s, _ := p.fields(16)
	nodes := 0
	for _, f := range list {
		switch {
		case is(f, 1):
			if !isNode(s, f) {
				return false
			}
			nodes++
		case is(f, 2), is(f, 4), f.Number == 3 && f.Wire == protobuf.Varint:
		default:
			return false
		}
	}
	return nodes > 0
}

// isNode reports whether a field is a NodeDef: a name, and an operator in
// letters and digits.
func isNode(s *protobuf.Source, f protobuf.Field) bool {
	list, _, whole := first(s, &f, 8)
	if !whole || len(list) < 2 || !is(f, 1) || !is(list[0], 1) || !is(list[1], 2) || list[1].Length == 0 || list[1].Length > 200 {
		return false
	}
	op, err := s.Text(list[1])
	return err == nil && strings.Trim(op, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_>/.") == ""
}

// isKerasMetadata wants descriptions of objects of Keras.
func isKerasMetadata(p *probe) bool {
	list, s, whole := p.fields(4)
	for _, f := range list {
		if !is(f, 1) {
			return false
		}
		inner, _, _ := first(s, &f, 8)
		known := false
		for _, g := range inner {
			if is(g, 4) {
				text, err := s.Text(g)
				known = err == nil && strings.HasPrefix(text, "_tf_keras_")
			}
		}
		if !known {
			return false
		}
	}
	return whole && len(list) > 0
}

// isFingerprint knows the hashes of a SavedModel by their name, and that they
// are numbers.
func isFingerprint(p *probe) bool {
	list, _, whole := p.fields(16)
	for _, f := range list {
		if f.Number > 7 || (f.Wire == protobuf.Varint) != (f.Number < 6) {
			return false
		}
	}
	return whole && len(list) > 0 && strings.ToLower(p.name) == "fingerprint.pb"
}

// isCheckpoint wants the end of a table, under the name that checkpoints have.
func isCheckpoint(p *probe) bool {
	if !named(".index")(p) || p.size < 48 {
		return false
	}
	tail := p.tail()
	return bytes.HasSuffix(tail, []byte("\x57\xfb\x80\x8b\x24\x75\x47\xdb"))
}

// shard is the end of the name of a checkpoint's data.
var shard = regexp.MustCompile(`(?i).\.(?:data-\d{5}-of-\d{5}|onnx\.data|onnx_data[_\d]*)$`)

// isExternalData knows the numbers of an ONNX model or of a checkpoint by their
// name: they have no other mark.
func isExternalData(p *probe) bool { return shard.MatchString(p.name) }
