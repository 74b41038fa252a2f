package sniff_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/sniff"
)

func b(number int, parts ...string) string {
	content := strings.Join(parts, "")
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(content)))) + content
}

func v(number int, n uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), n))
}

func TestProtobuf(t *testing.T) {
	node := b(1, b(1, "x"), b(2, "MatMul"))
	tests := []struct {
		name, file, data string
		want             artifact.Format
	}{
		{"onnx", "a.bin", v(1, 8) + b(2, "me") + b(7, b(2, "g")), artifact.ONNX},
		{"onnx_behind_a_long_text", "a.bin", v(1, 8) + b(6, strings.Repeat("x", 9000)) + b(7, b(2, "g")), artifact.ONNX},
		{"onnx_without_graph", "a.onnx", v(1, 8), artifact.ONNX},
		{"something_without_graph", "a.bin", v(1, 8), artifact.Unknown},
		{"field_that_no_model_has", "a.bin", v(1, 8) + b(7, "") + b(99, ""), artifact.Unknown},
		{"saved_model", "a.bin", v(1, 1) + b(2, b(2, node)), artifact.SavedModel},
		{"saved_model_without_nodes", "a.bin", v(1, 1) + b(2, b(2)), artifact.SavedModel},
		{"meta_graph", "model.meta", b(1, b(4, "x")) + b(2, node), artifact.MetaGraph},
		{"graph", "frozen.pb", node + node + b(4, v(1, 22)), artifact.GraphDef},
		{"graph_of_another_kind", "frozen.pb", b(1, b(1, "x"), b(2, "Mat Mul")), artifact.Unknown},
		{"keras", "a.pb", b(1, v(2, 1), b(4, "_tf_keras_layer"), b(5, "{}")), artifact.KerasMetadata},
		{"fingerprint", "fingerprint.pb", v(1, 5) + v(2, 6) + b(7, v(1, 1)), artifact.Fingerprint},
		{"numbers_of_another_file", "other.pb", v(1, 5) + v(2, 6) + b(7, v(1, 1)), artifact.Unknown},
		{"data_of_onnx", "model.onnx_data", "\x00\x01\x02\x03", artifact.ExternalData},
		{"data_of_a_checkpoint", "variables.data-00000-of-00001", "\x00\x01\x02\x03", artifact.ExternalData},
		{"pickle_under_such_a_name", "variables.data-00000-of-00001", "\x80\x04\x8c\x02os\x8c\x06system\x93.", artifact.Pickle},
		{"text", "a.txt", "\nsome text\n", artifact.Text},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := sniff.Sniff(tt.file, strings.NewReader(tt.data), int64(len(tt.data)))
			if err != nil || got.Is() != tt.want {
				t.Errorf("is %v (%v), want %s", got.All(), err, tt.want)
			}
		})
	}
}
