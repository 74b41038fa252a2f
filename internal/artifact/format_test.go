package artifact_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

func safetensorsHead(claim uint64, header string) string {
	return string(binary.LittleEndian.AppendUint64(nil, claim)) + header
}

func TestSniff(t *testing.T) {
	long := strings.Repeat(" ", artifact.SniffLength)
	tests := []struct {
		name, file, head string
		size             int64 // 0 means that of head
		want             artifact.Format
	}{
		{"empty", "a", "", 0, artifact.Text},
		{"pickle_protocol_2", "a", "\x80\x02}q\x00.", 0, artifact.Pickle},
		{"pickle_protocol_5", "a", "\x80\x05\x95", 0, artifact.Pickle},
		{"no_such_protocol", "a", "\x80\x06\x95\x00", 0, artifact.Unknown},
		{"pickle_of_a_system_call", "a.txt", "cos\nsystem\n(S'id'\ntR.", 0, artifact.Pickle},
		{"pickle_with_a_mark_first", "a", "(cos\nsystem\nS'id'\no.", 0, artifact.Pickle},
		{"pickle_that_remembers", "a", "c__builtin__\neval\np0\n(S'1'\ntR.", 0, artifact.Pickle},
		{"pickle_of_two_names", "a", "cos\nsystem\ncos\ngetcwd\n)R.", 0, artifact.Pickle},
		{"pickle_of_a_list", "a", "(lp0\nI1\na.", 0, artifact.Pickle},
		{"pickle_of_a_dict_with_a_c", "a", "(dp0\nS'cat'\nI1\ns.", 0, artifact.Pickle},
		{"list_of_words", "vocab.txt", "cat\ndog\nfish\n", 0, artifact.Text},
		{"list_of_words_with_c", "vocab.txt", "cat\ncow\ncrow\n", 0, artifact.Text},
		{"list_of_words_with_p_and_q", "vocab.txt", "cat\ndog\nquail\npig\n", 0, artifact.Text},
		{"requirements", "requirements.txt", "click==8\nrequests\n", 0, artifact.Text},
		{"torch", "a.pt", "PK\x03\x04\x00\x00archive/data.pkl", 0, artifact.Torch},
		{"zip", "a.pt", "PK\x03\x04\x00\x00archive/other", 0, artifact.Zip},
		{"empty_zip", "a", "PK\x05\x06\x00\x00", 0, artifact.Zip},
		{"safetensors", "a", safetensorsHead(2, "{}"), 0, artifact.Safetensors},
		{"safetensors_with_a_header_larger_than_the_file", "a", safetensorsHead(200, "{}"), 0, artifact.Unknown},
		{"safetensors_with_a_negative_header", "a", safetensorsHead(1<<63, "{}"), 0, artifact.Unknown},
		{"safetensors_in_a_large_file", "a", safetensorsHead(200, "{}"), 1000, artifact.Safetensors},
		{"gguf", "a", "GGUF\x03\x00\x00\x00", 0, artifact.GGUF},
		{"text_about_gguf", "README.md", "GGUF is a format\n", 0, artifact.Text},
		{"hdf5", "a", "\x89HDF\r\n\x1a\n", 0, artifact.HDF5},
		{"numpy", "a", "\x93NUMPY\x01\x00", 0, artifact.NumPy},
		{"elf", "a.json", "\x7fELF\x02\x01", 0, artifact.Native},
		{"windows", "a", "MZ\x90\x00\x03", 0, artifact.Native},
		{"text_about_windows", "a.txt", "MZ stands for Mark Zbikowski", 0, artifact.Text},
		{"mach_o", "a", "\xcf\xfa\xed\xfe\x07", 0, artifact.Native},
		{"script", "a.json", "#!/bin/sh\n", 0, artifact.Script},
		{"python", "a.py", "import os\n", 0, artifact.Python},
		{"python_by_its_capital_name", "A.PY", "import os\n", 0, artifact.Python},
		{"path_file", "x.pth", "import os; os.system('id')\n", 0, artifact.Python},
		{"checkpoint_named_like_a_path_file", "x.pth", "\x80\x02}q\x00.", 0, artifact.Pickle},
		{"name_of_python_and_zeros", "a.py", "\x00\x00\x00\x00", 0, artifact.Unknown},
		{"json", "a.json", "{\"a\": 1}", 0, artifact.Text},
		{"text_of_other_scripts", "a", "модель 模型\n", 0, artifact.Text},
		{"text_cut_in_a_character", "a", long[1:] + "ж", 0, artifact.Text},
		{"text_in_latin_1", "a", "caf\xe9 au lait", 0, artifact.Unknown},
		{"escape_sequences", "a", "\x1b[2J", 0, artifact.Unknown},
		{"control_behind_the_head", "a", long + "\x01", 0, artifact.Text},
		{"torch_behind_the_head", "a", "PK\x03\x04" + long + "data.pkl", 0, artifact.Zip},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			size := tt.size
			if size == 0 {
				size = int64(len(tt.head))
			}
			if got := artifact.Sniff(tt.file, []byte(tt.head), size); got != tt.want {
				t.Errorf("format is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRandomIsUnknown(t *testing.T) {
	seed := [32]byte{7}
	r := rand.NewChaCha8(seed)
	head := make([]byte, artifact.SniffLength)
	for n := range 500 {
		_, _ = r.Read(head)
		for _, name := range []string{"a", "a.bin", "a.py", "a.json"} {
			if got := artifact.Sniff(name, head, 1<<30); got != artifact.Unknown {
				t.Errorf("random bytes %d as %s: %s", n, name, got)
			}
		}
	}
}

// Whatever the bytes, there is an answer, it is the same for any longer head,
// and reading changes nothing.
func FuzzSniff(f *testing.F) {
	for _, seed := range []string{"", "PK\x03\x04", "\x80\x02", "cos\nsystem\n", "(c\n\n", safetensorsHead(2, "{}"), "жжж", "MZ"} {
		f.Add("a.py", []byte(seed), []byte("data.pkl\x00\xff"))
	}
	f.Fuzz(func(t *testing.T, name string, head, more []byte) {
		for len(head) < artifact.SniffLength {
			head = append(head, ' ')
		}
		size := int64(len(head) + len(more))
		longer := append(bytes.Clone(head), more...)
		before := bytes.Clone(longer)
		got := artifact.Sniff(name, head, size)
		if again := artifact.Sniff(name, longer, size); got == "" || again != got {
			t.Fatalf("%q, then %q", got, again)
		}
		if !bytes.Equal(before, longer) {
			t.Fatal("the head was changed")
		}
		_ = artifact.Promised(name)
	})
}

func TestPromised(t *testing.T) {
	for name, want := range map[string]artifact.Format{
		"a.safetensors": artifact.Safetensors, "a.GGUF": artifact.GGUF, "d/a.json": artifact.Text, "a.npz": artifact.Zip,
		"a.bin": "", "a": "", ".json": artifact.Text, "a.json/b": "",
	} {
		got := artifact.Promised(name)
		if (want == "") != (got == nil) || want != "" && got[0] != want {
			t.Errorf("%s promises %v, want %s", name, got, want)
		}
	}
}
