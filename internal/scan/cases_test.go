package scan_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/catalog"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/scan"
)

// The pieces of pickles. None of them is ever loaded.
const (
	system = "cos\nsystem\n(S'id'\ntR"  // protocol 0, without STOP
	evil   = "cos\nsystem\n(S'id'\ntR." // with it
)

// u is SHORT_BINUNICODE, sg STACK_GLOBAL of two of them.
func u(s string) string             { return "\x8c" + string(rune(len(s))) + s }
func sg(module, name string) string { return u(module) + u(name) + "\x93" }
func p4(body string) string         { return "\x80\x04" + body }
func le32(n int) string             { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func le64(n uint64) string          { return string(binary.LittleEndian.AppendUint64(nil, n)) }
func bin(s string) string           { return "B" + le32(len(s)) + s }
func text(s string) string          { return "X" + le32(len(s)) + s }

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// packed compresses with a writer of any library.
func packed[W io.WriteCloser](open func(io.Writer) (W, error), s string) string {
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

func noError[W any](open func(io.Writer) W) func(io.Writer) (W, error) {
	return func(w io.Writer) (W, error) { return open(w), nil }
}

func newZstd(w io.Writer) (*zstd.Encoder, error) { return zstd.NewWriter(w) }

// bzipped is [evil]; the standard library does not compress with bzip2.
const bzipped = "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x1f\x2f\x22\xa5\x00\x00\x04\xd3\x80\x00\x10\x00\xc1\x18\x00\x0e\x22\x8c\x20\x20\x00\x22\x21\xa1\xb4\x4f\x29\x8a\x60\x00\x28\xbc\x8e\x04\x24\xb8\x25\x7e\x99\x35\x8b\xb9\x22\x9c\x28\x48\x0f\x97\x91\x52\x80"

// rdata is what saveRDS writes of a promise with the value given, and the call
// f() as its expression.
func rdata(value string) string {
	i := func(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	const null = "\x00\x00\x00\xfe"
	return "X\n" + i(2) + i(0x40301) + i(0x20300) + i(5) + value + i(6) + i(1) + i(0x40009) + i(1) + "f" + null
}

// call calls a name with one string.
func call(module, name string) string { return p4(sg(module, name) + u("x") + "\x85R.") }

// legacy is a legacy torch file around the pickles given.
func legacy(object, keys string) string {
	return "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + "\x80\x02M\xe9\x03." + "\x80\x02}." + object + keys
}

// joblibArray is a list of an array of one float and whatever follows.
func joblibArray(behind string) string {
	return joblibOf(text("f8"), "", "\x00\x00\x00\x00\x00\x00\xf0?"+behind)
}

// joblibOf is a list of an array of one element of a type, which BUILD may
// give a state, and the bytes that follow.
func joblibOf(code, built, bytes string) string {
	dtype := "cnumpy\ndtype\n(" + code + "K\x00K\x01tR" + built
	state := "}(" + text("subclass") + "cnumpy\nndarray\n" + text("shape") + "K\x01\x85" + text("order") + text("C") +
		text("dtype") + dtype + text("allow_mmap") + "\x88u"
	return "\x80\x03](cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + "b" + bytes + "e."
}

// module is a class the way legacy torch files have it, with its source.
func module(class string) string {
	return "\x80\x02(" + text("module") + class + text("net.py") + text("class Net: pass") + "tQ"
}

// dtypeState is what BUILD gives a numpy.dtype: of a size, with flags.
func dtypeState(size, flags int32) string {
	number := func(n int32) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	return "(K\x03" + text("|") + "NNN" + number(size) + number(-1) + number(flags) + "tb"
}

// npy is an array with the header.
func npy(header, body string) string {
	return "\x93NUMPY\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(header)))) + header + body
}

// attack is one input that the test writes, and what has to be said about it.
type attack struct {
	number  int
	name    string
	file    string // its name
	data    string
	verdict finding.Verdict
	rule    string
}

func pickleAttacks() []attack {
	const mal, sus = finding.Malicious, finding.Suspicious
	return []attack{
		{1, "one_more_function_of_a_package", "a.pkl", call("pip", "main"), mal, "WW-PICKLE-001"},
		{2, "submodule", "a.pkl", call("asyncio.unix_events", "_UnixSubprocessTransport._start"), mal, "WW-PICKLE-001"},
		{3, "byte_string_operands", "a.pkl", p4("U\x02osU\x06system\x93U\x02id\x85R."), mal, "WW-PICKLE-001"},
		{4, "operands_from_the_memo", "a.pkl", p4(u("os") + "\x940" + u("system") + "\x940" + u("json") + u("loads") + "h\x00h\x01\x93" + u("id") + "\x85R."), mal, "WW-PICKLE-001"},
		{5, "memoize_counts_slots", "a.pkl", p4(u("json") + "q\x01" + u("os") + "\x940h\x01" + u("system") + "\x93."), mal, "WW-PICKLE-001"},
		{6, "missing_slot_behind_the_payload", "a.pkl", p4(sg("os", "system") + u("id") + "\x85Rh\x63."), mal, "WW-PICKLE-001"},
		{7, "operand_of_another_type", "a.pkl", p4("K\x01" + u("system") + "\x93."), mal, "WW-PICKLE-004"},
		{8, "name_from_a_call", "a.pkl", p4(u("os") + "cbuiltins\nstr\n(" + u("system") + "tR\x93."), mal, "WW-PICKLE-004"},
		{9, "raw_unicode_escape", "a.pkl", "\x80\x04V\\u006fs\nV\\u0073ystem\n\x93(Vid\ntR.", mal, "WW-PICKLE-001"},
		{10, "python_2_name", "a.pkl", "ccommands\ngetoutput\n(S'id'\ntR.", mal, "WW-PICKLE-001"},
		{10, "second_proto_maps_again", "a.pkl", p4("\x80\x02c__builtin__\neval\n(S'1'\ntR."), mal, "WW-PICKLE-001"},
		{11, "dotted_attribute", "a.pkl", p4(sg("random", "_os.system") + u("id") + "\x85R."), mal, "WW-PICKLE-001"},
		{11, "dotted_attribute_of_an_unlisted_module", "a.pkl", p4(sg("colorsys", "some.thing") + u("id") + "\x85R."), mal, "WW-PICKLE-003"},
		{12, "platform_alias", "a.pkl", call("posix", "system"), mal, "WW-PICKLE-001"},
		{13, "universal_resolver", "a.pkl", call("pkgutil", "resolve_name"), mal, "WW-PICKLE-001"},
		{14, "methodcaller", "a.pkl", call("operator", "methodcaller"), mal, "WW-PICKLE-001"},
		{14, "result_of_a_call_is_called", "a.pkl", p4(sg("somewhere", "thing") + ")R)R."), mal, "WW-PICKLE-005"},
		{15, "dunder_walk", "a.pkl", call("builtins", "object.__getattribute__"), mal, "WW-PICKLE-001"},
		{15, "dunder_of_an_unlisted_module", "a.pkl", call("colorsys", "__getattribute__"), mal, "WW-PICKLE-003"},
		{16, "class_made_with_type", "a.pkl", call("builtins", "type"), mal, "WW-PICKLE-001"},
		{17, "eval_in_typing", "a.pkl", call("typing", "_eval_type"), mal, "WW-PICKLE-001"},
		{18, "extension_registry", "a.pkl", p4(sg("copyreg", "add_extension") + u("os") + u("system") + "K\x01\x87R0\x82\x01" + u("id") + "\x85R."), mal, "WW-PICKLE-008"},
		{18, "extension_unknown", "a.pkl", p4("\x82\x07" + u("id") + "\x85R."), sus, "WW-PICKLE-008"},
		{19, "obscure_runner", "a.pkl", call("uuid", "_get_command_stdout"), mal, "WW-PICKLE-001"},
		{20, "library_gadget", "a.pkl", call("torch._inductor.codecache", "compile_file"), mal, "WW-PICKLE-001"},
		{21, "code_object", "a.pkl", call("marshal", "loads"), mal, "WW-PICKLE-001"},
		{22, "inst_popped", "a.pkl", "(S'id'\nios\nsystem\n0N.", mal, "WW-PICKLE-001"},
		{22, "obj", "a.pkl", "(cos\nsystem\nS'id'\noN0N.", mal, "WW-PICKLE-001"},
		{22, "newobj_ex", "a.pkl", p4(sg("subprocess", "Popen") + u("id") + "\x85}\x92."), mal, "WW-PICKLE-001"},
		{23, "build_on_a_module", "a.pkl", p4(sg("collections", "OrderedDict") + "}" + u("x") + "K\x01sb."), mal, "WW-PICKLE-006"},
		{24, "slot_state_on_a_class", "a.pkl", p4(sg("collections", "OrderedDict") + "N}" + u("__setitem__") + "K\x01s\x86b."), mal, "WW-PICKLE-006"},
		{25, "append_on_a_registry", "a.pkl", p4(sg("sys", "path") + u("/tmp") + "a."), mal, "WW-PICKLE-006"},
		{26, "setattr", "a.pkl", p4(sg("builtins", "setattr") + "K\x01K\x02K\x03\x87R."), mal, "WW-PICKLE-001"},
		{27, "scanner_switched_off", "a.pkl", call("fickling.hook", "remove_hook"), mal, "WW-PICKLE-001"},
		{28, "nested_load", "a.pkl", p4(sg("pickle", "loads") + bin(evil) + "\x85R."), mal, "WW-PICKLE-001"},
		{29, "inert_pickle", "a.pkl", p4(bin(p4(sg("os", "system")+u("id")+"\x85R.")) + "."), sus, "WW-PICKLE-009"},
		{29, "base64", "a.pkl", p4(text(base64.StdEncoding.EncodeToString([]byte(evil))) + "."), sus, "WW-PICKLE-009"},
		{29, "hex", "a.pkl", p4(text(hex.EncodeToString([]byte(evil))) + "."), sus, "WW-PICKLE-009"},
		{29, "zlib_in_base64", "a.pkl", p4(text(base64.StdEncoding.EncodeToString([]byte(deflated(evil)))) + "."), sus, "WW-PICKLE-009"},
		{30, "file_without_code", "a.pkl", call("linecache", "getline"), mal, "WW-PICKLE-001"},
		{31, "import_alone", "a.pkl", p4(sg("nobody_knows_this", "Thing") + "."), sus, "WW-PICKLE-002"},
		{32, "unknown_gadget", "a.pkl", call("nobody_knows_this", "helper"), sus, "WW-PICKLE-002"},
		{33, "broken_behind_the_payload", "a.pkl", system + "\xff", mal, "WW-PICKLE-014"},
		{33, "broken_behind_an_unknown", "a.pkl", p4(sg("nobody", "Thing") + ")R\xff"), sus, "WW-PICKLE-014"},
		{34, "second_stream", "a.pkl", "N." + evil, mal, "WW-PICKLE-001"},
		{34, "junk_behind", "a.pkl", "\x80\x02K\x01.\xff\xfe\xfd\xfc\xfb\xfa", sus, "WW-PICKLE-016"},
		{35, "frame_straddled", "a.pkl", p4("\x95" + le64(3) + u("harmless text here") + "."), mal, "WW-PICKLE-011"},
		{35, "frame_past_the_end", "a.pkl", p4("\x95" + le64(5000) + "N."), sus, "WW-PICKLE-011"},
		{36, "payload_in_the_fifth_pickle", "a.pt", legacy("\x80\x02}.", "\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."), mal, "WW-PICKLE-001"},
		{36, "magic_by_a_call", "a.pt", "\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.\x80\x02M\xe9\x03.", mal, "WW-PICKLE-001"},
		{37, "no_extension", "model", evil, mal, "WW-PICKLE-001"},
		{37, "foreign_extension", "a.json", evil, mal, "WW-SCAN-010"},
		{38, "doubling", "a.pkl", p4("K\x01" + strings.Repeat("2\x86", 64) + "."), mal, "WW-PICKLE-012"},
		{38, "far_memo_slot", "a.pkl", "\x80\x02Nr\xff\xff\xff\x7f.", sus, "WW-PICKLE-012"},
		{38, "deep_nesting", "a.pkl", "\x80\x02" + strings.Repeat("]", 20_000) + strings.Repeat("a", 19_999) + ".", sus, "WW-PICKLE-012"},
		{38, "a_length_of_a_terabyte", "a.pkl", p4("\x8e" + le64(1<<40) + "x"), finding.Inconclusive, "WW-PICKLE-014"},
		{38, "a_huge_number", "a.pkl", "\x80\x02L" + strings.Repeat("9", 20_000) + "L\n.", sus, "WW-PICKLE-013"},
		{39, "persistent_id_of_text", "a.pkl", "\x80\x02Pelsewhere\n.", sus, "WW-PICKLE-010"},
		{39, "dangerous_type_slot", "a.pkl", "\x80\x02(" + text("storage") + "cos\nsystem\n" + text("0") + text("cpu") + "K\x01tQ.", mal, "WW-PICKLE-010"},
		{40, "payload_behind_an_array", "a.joblib", joblibArray(system), mal, "WW-PICKLE-001"},
		{39, "class_with_its_source", "a.pt", legacy(module("cos\nsystem\n")+text("id")+"\x85R.", "\x80\x02]."), mal, "WW-PICKLE-001"},
		{39, "unknown_class_with_its_source", "a.pt", legacy(module("cnobody\nHelper\n")+")\x81.", "\x80\x02]."), mal, "WW-PICKLE-010"},
		{1, "maker_of_unknown_objects", "a.pkl", "\x80\x02csklearn.neighbors._kd_tree\nnewObj\ncnobody\nHelper\n\x85R.", sus, "WW-PICKLE-007"},
		{40, "numbers_that_are_objects", "a.joblib", joblibOf(text("f8"), dtypeState(-1, 63), system), mal, "WW-PICKLE-001"},
		{40, "objects_that_are_numbers", "a.joblib", joblibOf(text("O8"), dtypeState(-1, 0), system), mal, "WW-PICKLE-001"},
		{40, "records_of_another_size", "a.joblib", joblibOf(text("V8"), dtypeState(4, 0), "1234"+system), sus, "WW-PICKLE-017"},
		{40, "array_too_long", "a.joblib", joblibArray("")[:len(joblibArray(""))-6], sus, "WW-PICKLE-017"},
		{41, "transparent_decompression", "a.pkl.gz", gzipped(evil), mal, "WW-PICKLE-001"},
		{41, "zlib", "a.pkl", deflated(evil), mal, "WW-PICKLE-001"},
		{41, "bzip2", "a.pkl", bzipped, mal, "WW-PICKLE-001"},
		{41, "xz", "a.pkl.xz", packed(xz.NewWriter, evil), mal, "WW-PICKLE-001"},
		{41, "xz_that_lies_about_its_content", "a.pkl.xz", strings.Replace(packed(xz.NewWriter, evil), "os", "oS", 1), sus, "WW-SCAN-016"},
		{41, "lzma", "a.pkl.lzma", packed(lzma.NewWriter, evil), mal, "WW-PICKLE-001"},
		{41, "lzma_with_a_dictionary_of_four_gigabytes", "a.lzma", "\x5d\x00\x00\x00\x80" + strings.Repeat("\xff", 8) + "\x00 and so on", finding.Inconclusive, "WW-COMPRESSED-002"},
		{41, "lz4", "a.pkl.lz4", packed(noError(lz4.NewWriter), evil), mal, "WW-PICKLE-001"},
		{41, "zstd", "a.pkl.zst", packed(newZstd, evil), mal, "WW-PICKLE-001"},
		{41, "zstd_with_a_window_of_a_gigabyte", "a.zst", "\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00", finding.Inconclusive, "WW-COMPRESSED-002"},
		{41, "a_layer_of_each", "a.zst", packed(newZstd, packed(noError(lz4.NewWriter), packed(xz.NewWriter, gzipped(evil)))), mal, "WW-PICKLE-001"},
		{54, "object_array", "a.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", evil), mal, "WW-PICKLE-001"},
		{54, "object_field", "a.npy", npy("{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }\n", evil), mal, "WW-PICKLE-001"},
		{54, "expression_in_the_header", "a.npy", npy("{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': (1,), }\n", ""), sus, "WW-NUMPY-001"},
		{54, "header_length_lies", "a.npy", npy("{}", "")[:8] + "\xff\xff{}", sus, "WW-NUMPY-001"},
		{54, "too_few_numbers", "a.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }\n", "12345678"), sus, "WW-NUMPY-002"},
		{54, "pickle_named_npy", "a.npy", evil, mal, "WW-SCAN-010"},
		{57, "name_that_weights_only_refuses", "pytorch_model.bin", call("nobody_knows_this", "helper"), sus, "WW-PICKLE-002"},
		{89, "promise_in_an_r_object", "model.rds", gzipped(rdata("\x00\x00\x00\xfc")), mal, "WW-R-001"},
		{89, "promise_in_an_r_object_as_it_is", "model.rds", rdata("\x00\x00\x00\xfc"), mal, "WW-R-001"},
		{89, "bytes_behind_an_r_object", "model.rds", rdata("\x00\x00\x00\xfe") + "tail", sus, "WW-R-003"},
		{89, "r_object_cut_off", "model.rds", rdata("\x00\x00\x00\xfe")[:40], finding.Inconclusive, "WW-R-002"},
		{90, "popular_name", "models--google-bert--bert-base-uncased/pytorch_model.bin", call("os", "system"), mal, "WW-PICKLE-001"},
		{90, "popular_name_with_an_unknown_callable", "facebook/opt-125m/pytorch_model.bin", call("nobody_knows_this", "helper"), sus, "WW-PICKLE-002"},
		{56, "setitem_on_something_else", "a.pkl", "\x80\x02K\x01K\x02K\x03s.", sus, "WW-PICKLE-006"},
	}
}

// judged scans the attack's bytes.
func judged(t *testing.T, a attack) (finding.Verdict, []finding.Finding) {
	t.Helper()
	file, found := scan.Bytes(t.Context(), a.file, strings.NewReader(a.data), int64(len(a.data)), scan.Options{Detectors: catalog.All()})
	return file.Verdict, found
}

// TestAttacks writes each public attack and wants its verdict and its rule.
func TestAttacks(t *testing.T) {
	for _, a := range attacks() {
		t.Run(fmt.Sprintf("%02d_%s", a.number, a.name), func(t *testing.T) {
			verdict, found := judged(t, a)
			if verdict != a.verdict {
				t.Errorf("verdict is %s, want %s", verdict, a.verdict)
			}
			if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Rule == a.rule }) {
				t.Errorf("no finding of %s", a.rule)
			}
			for _, f := range found {
				if f.Offset < -1 || f.Offset > math.MaxInt32 || f.Summary == "" || strings.HasSuffix(f.Summary, ".") {
					t.Errorf("odd finding: %+v", f)
				}
			}
			if t.Failed() {
				t.Logf("%+v", found)
			}
		})
	}
}

// attacks are all public attacks that the tests of this package write.
func attacks() []attack {
	return slices.Concat(pickleAttacks(), archiveAttacks(), tensorAttacks(), repositoryCases())
}

// TestEveryCaseIsCaught ties the manual's table to the tests: each case has a
// rule that claims it, and an attack here that this rule catches.
func TestEveryCaseIsCaught(t *testing.T) {
	claims := map[string][]int{}
	for _, i := range catalog.Infos() {
		for _, r := range i.Rules {
			claims[r.ID] = r.Cases
		}
	}
	caught := map[int]bool{}
	for _, a := range attacks() {
		if slices.Contains(claims[a.rule], a.number) {
			caught[a.number] = true
		}
	}
	for _, c := range detect.Cases {
		if !caught[c.Number] {
			t.Errorf("no attack here shows a rule that claims case %d, %s", c.Number, c.Title)
		}
	}
	if len(detect.Cases) != 90 {
		t.Errorf("there are %d cases", len(detect.Cases))
	}
}

// What torch's restricted unpickler would do is remarked on, since loaders fall
// back to the full one.
func TestFallbackIsRemarked(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"refused.bin": {call("nobody_knows_this", "helper"), "weights_only refuses it"},
		"allowed.pt":  {"\x80\x02}.", "would load with weights_only"},
		"sklearn.pth": {"\x80\x03csklearn.tree.tree\nDecisionTreeClassifier\n)\x81}" + text("depth") + "K\x03sb.", "weights_only refuses it"},
	} {
		file, _ := scan.Bytes(t.Context(), name, strings.NewReader(tt.data), int64(len(tt.data)), scan.Options{Detectors: catalog.All()})
		if !slices.ContainsFunc(file.Facts, func(f string) bool { return strings.Contains(f, tt.want) }) {
			t.Errorf("%s: remarks are %q, want %q", name, file.Facts, tt.want)
		}
	}
}

func TestBenign(t *testing.T) {
	for name, data := range map[string]string{
		"plain.pkl":        p4("}" + u("a") + "K\x01s."),
		"two.pkl":          "\x80\x02K\x01.\x80\x02K\x02.",
		"bytes.pkl":        "\x80\x02c_codecs\nencode\n(" + text("abcdefghij") + text("latin1") + "tR.",
		"set.pkl":          "\x80\x02c__builtin__\nset\n](K\x01K\x02e\x85R.",
		"array.joblib":     joblibArray(""),
		"numbers.joblib":   joblibOf(text("f8"), dtypeState(-1, 0), "\x00\x00\x00\x00\x00\x00\xf0?"),
		"records.joblib":   joblibOf(text("V12"), dtypeState(12, 16), "\xffecords of 12"[:12]),
		"layers.pkl":       "\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81}b.",
		"module.pt":        legacy(module("ctorch.nn.modules.linear\nLinear\n")+")\x81}b.", "\x80\x02]."),
		"scores.pkl":       "\x80\x02csklearn.metrics._scorer\n_passthrough_scorer\n.",
		"tree.pkl":         "\x80\x02csklearn.neighbors._kd_tree\nnewObj\ncsklearn.neighbors._kd_tree\nKDTree\n\x85R.",
		"scripted.pkl":     "\x80\x02c__torch__.net.___torch_mangle_0\nNet\n)\x81}b.",
		"ranges.debug_pkl": "\x80\x02ctorch.jit._pickle\nbuild_intlist\n]K\x01a\x85R.",
		"ordered.pkl":      "\x80\x02ccollections\nOrderedDict\n)R(" + text("weight") + "K\x01u.",
		"legacy.pt":        legacy("\x80\x02}.", "\x80\x02]."),
		"words.txt":        "os.system is a name, and base64 an encoding\n",
		"numbers.npy":      npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", "12345678"),
		"torch.pt":         torchFile(nil),
		"exported.pt2":     zipOf("", "", part{name: "m/archive_format", data: "pt2"}, part{name: "m/archive_version", data: "0"}, part{name: "m/data/weights/weight_0", data: "\x00\x00\x80?\x01\x02\x03\xff"}),
		"evaluated.rds":    gzipped(rdata("\x00\x00\x00\x0d\x00\x00\x00\x01\x00\x00\x00\x07")),
		"plain.pkl.gz":     gzipped("\x80\x02K\x01."),
		"estimator.pkl":    "\x80\x03csklearn.tree.tree\nDecisionTreeClassifier\n)\x81}" + text("depth") + "K\x03sb.",
		"random_bytes.pkl": p4(bin(strings.Repeat("\x80\x02\xff\x00c\n", 50)) + "."),
	} {
		t.Run(name, func(t *testing.T) {
			if verdict, found := judged(t, attack{file: name, data: data}); verdict != finding.Clean {
				t.Errorf("verdict is %s: %+v", verdict, found)
			}
		})
	}
}
