package rdata_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/format/rdata"
)

// i is a number as the binary form has it.
func i(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(int32(n)))) }

const null = "\x00\x00\x00\xfe"

// v2 and v3 are the starts of both versions.
var (
	v2 = "X\n" + i(2) + i(0x40301) + i(0x20300)
	v3 = "X\n" + i(3) + i(0x40301) + i(0x30500) + i(5) + "UTF-8"
)

func chars(s string) string  { return i(0x40009) + i(len(s)) + s }
func symbol(s string) string { return i(1) + chars(s) }

// list is a pair list of one tagged value.
func list(tag, value string) string { return i(0x402) + symbol(tag) + value + null }

// promise is one with an environment, a value and an expression.
func promise(value string) string {
	return i(5|1<<10) + i(253) + value + i(6) + symbol("system") + i(2) + i(16) + i(1) + chars("id") + null
}

func walk(s string) (rdata.Result, error) {
	return rdata.Walk(strings.NewReader(s), int64(len(s)), rdata.Limits{Items: 10_000, Depth: 1000})
}

func TestWalk(t *testing.T) {
	for name, tt := range map[string]struct {
		data     string
		promises []int64
	}{
		"null":           {v2 + null, nil},
		"version_3":      {v3 + i(13) + i(2) + i(7) + i(8), nil},
		"saved":          {"RDX3\n" + v3 + list("model", i(14)+i(1)+"12345678"), nil},
		"machine_order":  {"B\n\x02\x00\x00\x00........\x0d\x00\x00\x00\x01\x00\x00\x00abcd", nil},
		"with_class":     {v2 + i(19|1<<9|1<<8) + i(1) + null + list("class", i(16)+i(1)+chars("lm")), nil},
		"long_vector":    {v2 + i(24) + i(-1) + i(0) + i(3) + "abc", nil},
		"missing_string": {v2 + i(16) + i(1) + i(9) + i(-1), nil},
		"environment":    {v2 + i(4) + i(0) + i(242) + list("x", i(255|1<<8)) + null + null, nil},
		"namespace":      {v2 + i(249) + i(0) + i(2) + chars("base") + chars("4.3.1"), nil},
		"alternative":    {v2 + i(238) + list("a", null) + null + null, nil},
		"function":       {v2 + i(3|1<<10) + i(253) + list("x", i(251)) + symbol("x"), nil},
		"byte_code":      {v2 + i(21) + i(1) + i(13) + i(1) + i(7) + i(3) + i(6) + null + i(1) + chars("f") + i(254) + i(0xfe) + i(243) + i(0) + i(13) + i(13) + i(0), nil},
		"promise":        {v2 + promise(i(252)), []int64{14}},
		"evaluated":      {v2 + promise(i(13)+i(1)+i(7)), nil},
		"deep_in_a_list": {v2 + i(19) + i(2) + null + list("x", promise(i(252))), []int64{14 + 4 + 4 + 4 + 4 + 4 + 4 + 4 + 1}},
	} {
		r, err := walk(tt.data)
		if err != nil || r.End != int64(len(tt.data)) || !slices.Equal(r.Promises, tt.promises) {
			t.Errorf("%s: promises %v, want %v; ends at %d of %d: %v", name, r.Promises, tt.promises, r.End, len(tt.data), err)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		data string
		want error
	}{
		"ascii":         {"A\n2\n262913\n", rdata.ErrUnsupported},
		"version":       {"X\n" + i(9) + i(0) + i(0), rdata.ErrUnsupported},
		"cut_off":       {v2 + i(13) + i(2) + i(7), rdata.ErrTruncated},
		"no_such_type":  {v2 + i(77), rdata.ErrMalformed},
		"huge_vector":   {v2 + i(19) + i(0x7fffffff), rdata.ErrMalformed},
		"huge_string":   {v2 + i(9) + i(0x7fffffff), rdata.ErrTruncated},
		"a_long_length": {v2 + i(14) + i(-1) + i(0x7fffffff) + i(-1), rdata.ErrTruncated},
		"nested":        {v2 + strings.Repeat(i(19)+i(2), 2000), rdata.ErrLimit},
		"many":          {v2 + i(19) + i(20_000) + strings.Repeat(null, 20_000), rdata.ErrLimit},
	} {
		if _, err := walk(tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: error is %v, want %v", name, err, tt.want)
		}
	}
}

// FuzzWalk promises an end within the data, and promises within what was read.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(v3 + list("x", promise(i(252)))))
	f.Add([]byte(v2 + i(21) + i(1) + i(13) + i(0) + i(1) + i(6) + null + i(1) + chars("f") + i(243) + i(0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := walk(string(data))
		if r.End > int64(len(data)) || err == nil && r.Items == 0 {
			t.Fatalf("%+v of %d bytes: %v", r, len(data), err)
		}
		for _, p := range r.Promises {
			if p < 0 || p >= r.End {
				t.Fatalf("promise at %d, end at %d", p, r.End)
			}
		}
	})
}
