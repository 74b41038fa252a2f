package pickle_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/pickle"
)

// trace runs a stream and writes down what happens.
func trace(t *testing.T, stream string, lim pickle.Limits) (events []string, r pickle.Result) {
	t.Helper()
	r, err := pickle.Run(strings.NewReader(stream), 0, int64(len(stream)), lim, func(m *pickle.Machine, e *pickle.Event) error {
		name := func(v pickle.Value) string {
			if id := v.GlobalID(); id >= 0 {
				n := m.Global(id)
				return n.Module + " " + n.Name
			}
			return fmt.Sprint(v.Kind())
		}
		switch e.Kind {
		case pickle.Import:
			events = append(events, fmt.Sprintf("%d import %s", e.Offset, name(e.Callee)))
		case pickle.Call:
			events = append(events, fmt.Sprintf("%d call %s with %d", e.Offset, name(e.Callee), len(m.Items(e.Args))))
		case pickle.Computed:
			events = append(events, fmt.Sprintf("%d computed", e.Offset))
		case pickle.Build:
			events = append(events, fmt.Sprintf("%d build", e.Offset))
		case pickle.Mutate:
			events = append(events, fmt.Sprintf("%d mutate %s", e.Offset, name(e.Target)))
		case pickle.Bad:
			events = append(events, fmt.Sprintf("%d trouble %d", e.Offset, e.Number))
		case pickle.PersistentID:
			events = append(events, fmt.Sprintf("%d persistent %d", e.Offset, len(m.Items(e.Args))))
		case pickle.Extension:
			events = append(events, fmt.Sprintf("%d extension %d", e.Offset, e.Number))
		case pickle.Constant:
			text, _, err := m.Text(e.Target, 1<<10)
			events = append(events, fmt.Sprintf("%d constant %q %v", e.Offset, text, err))
		case pickle.Declared:
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events, r
}

func TestRun(t *testing.T) {
	tests := []struct {
		name, stream string
		want         []string
	}{
		{"global_and_reduce", "cos\nsystem\n(S'id'\ntR.", []string{"0 import os system", "19 call os system with 1"}},
		{"stack_global", "\x80\x04\x8c\x02os\x8c\x06system\x93.", []string{"14 import os system"}},
		{"memo_overwritten", "\x80\x04\x8c\x01aq\x01\x8c\x01bq\x01h\x01\x8c\x01c\x93.", []string{"17 import b c"}},
		{"memoize_is_the_number_of_slots", "\x80\x04\x8c\x01ar\x07\x00\x00\x00\x8c\x01b\x94h\x07h\x01\x93.", []string{"18 import a b"}},
		{"python_2_module", "cQueue\nQueue\n.", []string{"0 import queue Queue"}},
		{"python_2_name", "c__builtin__\nreduce\n.", []string{"0 import functools reduce"}},
		{"python_3_is_not_mapped", "\x80\x03cQueue\nEmpty\n.", []string{"2 import Queue Empty"}},
		{"inst", "(K\x01K\x02ios\nsystem\n.", []string{"5 import os system", "5 call os system with 2"}},
		{"obj", "(cos\nsystem\nK\x01o.", []string{"1 import os system", "14 call os system with 1"}},
		{"bytes_are_no_name", "\x80\x04C\x02os\x8c\x06system\x93.", []string{"14 computed"}},
		{"unicode_escape", "V\\u006f\\u0073 and \\\\u0041\n.", []string{`0 constant "os and \\\\u0041" <nil>`}},
		{"string_escape", "S'a\\x62\\'\\143\\n1234'\n.", []string{`0 constant "ab'c\n1234" <nil>`}},
		{"setitem_on_a_global", "cos\nenviron\nK\x01K\x02s.", []string{"0 import os environ", "16 mutate os environ"}},
		{"setitems_on_a_dict", "}(K\x01K\x02u.", nil},
		{"append_on_a_dict", "}K\x01a.", []string{"3 mutate 11"}},
		{"persistent_tuple", "(K\x01K\x02tQ.", []string{"6 persistent 2"}},
		{"extension", "\x80\x02\x83\x01\x02.", []string{"2 extension 513"}},
		{"late_proto", "N0\x80\x02N.", []string{"2 trouble 4"}},
		{"straddled_frame", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00\x8c\x04abcd.", []string{"11 trouble 1"}},
		{"frame_that_fits", "\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x04abcd.", nil},
		{"pop_takes_a_mark", "N(0.", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, r := trace(t, tt.stream, pickle.Limits{})
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if !r.Stopped || r.End != int64(len(tt.stream)) || r.Err != nil {
				t.Errorf("ended at %d with %v", r.End, r.Err)
			}
		})
	}
}

func TestRunEnds(t *testing.T) {
	small := pickle.Limits{Ops: 20, Stack: 4, Memo: 2, Objects: 3}
	tests := []struct {
		name, stream string
		err          error
		text         string
	}{
		{"empty", "", pickle.ErrTruncated, "offset 0"},
		{"no_stop", "N", pickle.ErrTruncated, "offset 1"},
		{"unknown_opcode", "N\xff.", pickle.ErrMalformed, "0xff"},
		{"stop_on_nothing", ".", pickle.ErrMalformed, "too little"},
		{"below_the_mark", "N(a.", pickle.ErrMalformed, "too little"},
		{"no_mark", "Nt.", pickle.ErrMalformed, "without a mark"},
		{"empty_slot", "h\x05.", pickle.ErrMalformed, "slot 5"},
		{"string_cut_off", "X\xff\xff\x00\x00ab.", pickle.ErrTruncated, "65535 bytes"},
		{"negative_length", "T\xff\xff\xff\xffab.", pickle.ErrMalformed, "length -1"},
		{"length_of_eight_bytes", "\x8e\xff\xff\xff\xff\xff\xff\xff\x7fab.", pickle.ErrTruncated, "9223372036854775807"},
		{"line_without_end", "cos", pickle.ErrTruncated, "line without end"},
		{"too_many_opcodes", strings.Repeat("N0", 20), pickle.ErrLimit, "20 opcodes"},
		{"too_high", "NNNNNN.", pickle.ErrLimit, "on the stack"},
		{"too_many_slots", "Nq\x00q\x01q\x02.", pickle.ErrLimit, "memo slots"},
		{"too_many_containers", "]0]0]0]0N.", pickle.ErrLimit, "containers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, r := trace(t, tt.stream, small)
			if r.Stopped || !errors.Is(r.Err, tt.err) || !strings.Contains(fmt.Sprint(r.Err), tt.text) {
				t.Errorf("error is %v, want %v with %q", r.Err, tt.err, tt.text)
			}
		})
	}
}

// program asks CPython what opcodes a stream has. It disassembles; nothing is
// loaded.
const program = `
import sys, pickletools
for line in sys.stdin:
    try:
        for op, arg, pos in pickletools.genops(bytes.fromhex(line)):
            print(op.name, pos, end=";")
    except Exception as e:
        print("error", end=";")
    print()
`

// argumentOf makes an argument that CPython accepts for an opcode.
func argumentOf(name string, r *rand.Rand) string {
	body := strings.Repeat("a", r.IntN(40))
	lines := map[string]string{
		"INT": "12\n", "LONG": "12L\n", "FLOAT": "1.5\n", "STRING": "'abc'\n", "UNICODE": "abc\n", "GET": "3\n", "PUT": "3\n",
		"PERSID": "abc\n", "GLOBAL": "os\npath\n", "INST": "os\npath\n",
	}
	fixed := map[string]int{"BININT": 4, "BININT1": 1, "BININT2": 2, "BINFLOAT": 8, "BINGET": 1, "LONG_BINGET": 4, "BINPUT": 1, "LONG_BINPUT": 4, "EXT1": 1, "EXT2": 2, "EXT4": 4, "PROTO": 1, "FRAME": 8}
	sized := map[string]int{"LONG1": 1, "LONG4": 4, "BINSTRING": 4, "SHORT_BINSTRING": 1, "BINBYTES": 4, "SHORT_BINBYTES": 1, "BINBYTES8": 8, "BYTEARRAY8": 8, "SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8}
	switch {
	case lines[name] != "":
		return lines[name]
	case fixed[name] != 0:
		return strings.Repeat(string(rune(r.IntN(5))), fixed[name])
	case sized[name] != 0:
		length := make([]byte, sized[name])
		length[0] = byte(len(body))
		return string(length) + body
	}
	return ""
}

// TestAgainstPickletools compares opcodes and their offsets with CPython's, on
// streams of every opcode in any order, whole and cut off.
func TestAgainstPickletools(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: ", err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var streams [][]byte
	var input bytes.Buffer
	for range 3000 {
		var s []byte
		for range r.IntN(60) {
			code := byte(r.IntN(256))
			if name := pickle.OpName(code); name != "" && name != "STOP" {
				s = append(append(s, code), argumentOf(name, r)...)
			}
		}
		s = append(s, '.')
		if r.IntN(5) == 0 {
			s = s[:r.IntN(len(s))]
		}
		streams = append(streams, s)
		fmt.Fprintf(&input, "%x\n", s)
	}
	cmd := exec.CommandContext(t.Context(), python, "-I", "-c", program)
	cmd.Stdin = &input
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	for i, s := range streams {
		var b strings.Builder
		if err := pickle.Ops(bytes.NewReader(s), 0, int64(len(s)), func(o pickle.Op) bool {
			fmt.Fprintf(&b, "%s %d;", o.Name, o.Offset)
			return true
		}); err != nil {
			b.WriteString("error;")
		}
		if got := b.String(); got != lines[i] {
			t.Fatalf("%x:\n ours  %s\n theirs %s", s, got, lines[i])
		}
	}
}

// FuzzRun promises: a run ends within the data, offsets of events lie in it and
// never go back, what Items and Text return is bounded, and the same bytes give
// the same end.
func FuzzRun(f *testing.F) {
	for _, s := range []string{"cos\nsystem\n(S'id'\ntR.", "\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x04abcd.", "\x80\x02}(X\x01\x00\x00\x00aK\x01u.", "(K\x01tQ.", "V\\u0041\n.", "S'\\x41'\n."} {
		f.Add([]byte(s))
	}
	lim := pickle.Limits{Ops: 10_000, Stack: 1000, Memo: 1000, Objects: 1000}
	f.Fuzz(func(t *testing.T, data []byte) {
		at := int64(-1)
		r, err := pickle.Run(bytes.NewReader(data), 0, int64(len(data)), lim, func(m *pickle.Machine, e *pickle.Event) error {
			if e.Offset < at || e.End <= e.Offset || e.End > int64(len(data)) {
				t.Fatalf("event at %d to %d behind one at %d, of %d bytes", e.Offset, e.End, at, len(data))
			}
			at = e.Offset
			for _, v := range []pickle.Value{e.Callee, e.Target, e.Args, e.State, e.Result} {
				if len(m.Items(v)) > 256 {
					t.Fatal("too many items")
				}
				if text, ok, err := m.Text(v, 100); err != nil || ok && len(text) > 300 {
					t.Fatalf("%d bytes of text, %v", len(text), err)
				}
			}
			return nil
		})
		if err != nil || r.Stopped == (r.Err != nil) || r.End > int64(len(data)) {
			t.Fatalf("stopped is %v at %d of %d: %v, %v", r.Stopped, r.End, len(data), r.Err, err)
		}
		pickle.Looks(data, int64(len(data)))
	})
}
