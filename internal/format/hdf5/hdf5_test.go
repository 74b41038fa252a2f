package hdf5_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/hdf5"
)

// log writes down what a walk tells.
type log struct{ lines []string }

func (l *log) add(format string, args ...any) error {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
	return nil
}

func (l *log) Attribute(path string, a hdf5.Attribute) error {
	if a.Raw != nil {
		return l.add("%s.%s raw %d", path, a.Name, len(a.Raw))
	}
	return l.add("%s.%s %q@%d", path, a.Name, a.Strings, a.Offset)
}

func (l *log) Link(path string, k hdf5.Link) error {
	return l.add("link %s %d %q %q %d", path, k.Kind, k.File, k.Target, k.Class)
}

func (l *log) Dataset(path string, d hdf5.Dataset) error {
	return l.add("data %s %q %q %d %v", path, d.External, d.Virtual, d.Filters, d.Extents)
}

func (l *log) Odd(o hdf5.Odd) error {
	if o.Err != nil {
		return l.add("odd %s: %v", o.Path, o.Err)
	}
	return l.add("odd kind %d at %d+%d", o.Kind, o.Offset, o.Length)
}

func walk(t *testing.T, data string, lim hdf5.Limits) ([]string, error) {
	t.Helper()
	var l log
	err := hdf5.Walk(strings.NewReader(data), int64(len(data)), lim, &l)
	return l.lines, err
}

// The pieces of files, little-endian.
func le(n int, values ...int64) string {
	var b []byte
	for _, v := range values {
		b = append(b, binary.LittleEndian.AppendUint64(nil, uint64(v))[:n]...)
	}
	return string(b)
}

const (
	sign   = "\x89HDF\r\n\x1a\n"
	root   = 48 // where the root group of a new file is
	nowhat = "\xff\xff\xff\xff\xff\xff\xff\xff"
)

// msg is a message of a header of the new style.
func msg(kind int, body string) string {
	return le(1, int64(kind)) + le(2, int64(len(body))) + "\x00" + body
}

// header is an object header of the new style.
func header(messages ...string) string {
	body := strings.Join(messages, "")
	return "OHDR\x02\x02" + le(4, int64(len(body))) + body + "sum!"
}

// file is a file of the new style: its root group, and what follows.
func file(group, more string) string {
	body := group + more
	return sign + "\x02\x08\x08\x00" + le(8, 0) + nowhat + le(8, int64(root+len(body)), root) + "sum!" + body
}

// text is an attribute that is a fixed string.
func text(name, value string) string {
	return msg(0x0c, "\x02\x00"+le(2, int64(len(name)+1), 8, 4)+name+"\x00"+"\x13\x00\x00\x00"+le(4, int64(len(value)))+"\x02\x00\x00\x00"+value)
}

// link is a link message: kind 0 is a plain one.
func link(name string, kind int, value string) string {
	if kind != 0 {
		value = le(2, int64(len(value))) + value
	}
	return msg(6, "\x01\x08"+le(1, int64(kind), int64(len(name)))+name+value)
}

func TestNewStyle(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		want []string
	}{
		"attribute": {file(header(text("model_config", "{}")), ""), []string{`/.model_config ["{}"]@95`}},
		"links": {
			file(header(link("s", 1, "/a"), link("e", 64, "\x00/etc/passwd\x00/x\x00"), link("u", 99, "?")), ""),
			[]string{`link /s 1 "" "/a" 1`, `link /e 2 "/etc/passwd" "/x" 64`, `link /u 3 "" "" 99`},
		},
		"cycle":      {file(header(link("me", 0, le(8, root))), ""), nil},
		"contiguous": {file(header(msg(8, "\x03\x01"+le(8, 84, 4))), "DATA"), []string{`data / [] [] [] [{84 4}]`}},
		"compact":    {file(header(msg(8, "\x03\x00\x02\x00xy")), ""), []string{`data / [] [] [] [{66 2}]`}},
		"out":        {file(header(msg(8, "\x03\x01"+le(8, 84, 400))), "DATA"), []string{"odd /: 400 bytes of data at 84 of 88: malformed HDF5", `data / [] [] [] []`, "odd kind 2 at 84+4"}},
		"filter":     {file(header(msg(8, "\x03\x00\x01\x00x"), msg(0xb, "\x02\x01"+le(2, 32015, 0, 0, 0))), ""), []string{`data / [] [] [32015] [{66 1}]`}},
		"virtual":    {file(header(msg(8, "\x04\x03"+nowhat+le(4, 0))), ""), []string{`data / [] ["."] [] []`}},
		"unknown":    {file(header(msg(0x55, "x")), ""), []string{"odd /: message of type 0x55: HDF5 feature that is not read"}},
		"tail":       {file(header(), "") + "more", []string{"odd kind 3 at 62+4"}},
		"user_block": {strings.Repeat("u", 512) + sign + "\x02\x08\x08\x00" + le(8, 512) + nowhat + le(8, 574, root) + "sum!" + header(), []string{"odd kind 1 at 0+512"}},
		"hollow":     {sign + strings.Repeat("\x00", 32), []string{"odd kind 4 at 0+40"}},
		"cut":        {file(header(text("a", "b")), "")[:80], []string{"odd /: 31 bytes at 58 of 80: malformed HDF5", "odd : the file ends before the end that its superblock names: malformed HDF5"}},
		"external": {
			file(header(msg(7, "\x01\x00\x00\x00\x01\x00\x01\x00"+le(8, 106, 8, 0, 100))), "HEAP\x00\x00\x00\x00"+le(8, 24, 0, 138)+strings.Repeat("\x00", 8)+"/etc/passwd\x00\x00\x00\x00\x00"),
			[]string{`data / ["/etc/passwd"] [] [] []`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := walk(t, row.in, hdf5.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// oldFile is a file of the old style: superblock 0, a symbol table with the
// entries given, each a name and 24 bytes behind the address.
func oldFile(names string, entries ...string) string {
	const at = 96 // the root's header, one message of 16 bytes
	tree, heap, node := int64(at+16+24), int64(at+16+24+24+24), int64(at+16+24+24+24+32+64)
	names = "\x00\x00\x00\x00\x00\x00\x00\x00" + names
	names += strings.Repeat("\x00", 64-len(names))
	body := "\x01\x00" + le(2, 1) + le(4, 1, 24, 0) + le(2, 0x11, 16) + "\x00\x00\x00\x00" + le(8, tree, heap) +
		"TREE\x00\x00" + le(2, 1) + nowhat + nowhat + le(8, 0, node, 8) +
		"HEAP\x00\x00\x00\x00" + le(8, 64, 0, heap+32) + names +
		"SNOD\x01\x00" + le(2, int64(len(entries))) + strings.Join(entries, "")
	return sign + "\x00\x00\x00\x00\x00\x08\x08\x00" + le(2, 4, 16) + le(4, 0) + le(8, 0) + nowhat + le(8, int64(96+len(body))) + nowhat +
		le(8, 0, at) + le(4, 1, 0) + le(8, tree, heap) + body
}

func entry(name, at int64, cache, first int64) string {
	return le(8, name, at) + le(4, cache, 0, first, 0, 0, 0)
}

func TestOldStyle(t *testing.T) {
	in := oldFile("soft\x00target\x00me\x00odd\x00", entry(8, 0, 2, 13), entry(20, 96, 0, 0), entry(23, 96, 9, 0))
	want := []string{`link /soft 1 "" "target" 0`, `odd /: symbol "odd" of kind 9: HDF5 feature that is not read`}
	got, err := walk(t, in, hdf5.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRefused(t *testing.T) {
	for name, row := range map[string]struct {
		in   string
		lim  hdf5.Limits
		err  error
		text string // of the error, or of an oddity where err is nil
	}{
		"nothing":        {"", hdf5.Limits{}, hdf5.ErrMalformed, "no signature"},
		"version":        {sign + "\x09" + strings.Repeat("\x01", 90), hdf5.Limits{}, hdf5.ErrUnsupported, "version 9"},
		"sizes":          {sign + "\x02\x03\x08\x00" + strings.Repeat("\x01", 90), hdf5.Limits{}, hdf5.ErrMalformed, "addresses of 3"},
		"short":          {sign + "\x02\x08\x08\x00", hdf5.Limits{}, hdf5.ErrMalformed, ""},
		"no_root":        {sign + "\x02\x08\x08\x00" + le(8, 0) + nowhat + le(8, 48) + nowhat + "sum!", hdf5.Limits{}, hdf5.ErrMalformed, "no root"},
		"objects":        {file(header(link("a", 0, le(8, 48)), link("b", 0, le(8, 50))), ""), hdf5.Limits{Objects: 1}, nil, "more than 1 objects"},
		"block":          {file(header(text("a", strings.Repeat("x", 2000))), ""), hdf5.Limits{Block: 150}, nil, "block of"},
		"read":           {file(header(text("a", strings.Repeat("x", 2000))), ""), hdf5.Limits{Read: 100}, hdf5.ErrLimit, "more than 100 bytes of structure"},
		"two_parents":    {file(header(msg(0x10, le(8, 58, 32))), ""), hdf5.Limits{}, nil, "two parents"},
		"tree_in_a_ring": {strings.Replace(oldFile("a\x00", entry(8, 96, 0, 0)), "TREE\x00\x00", "TREE\x00\x01", 1), hdf5.Limits{}, nil, ""},
		"element_count":  {file(header(msg(0x0c, "\x02\x00"+le(2, 2, 8, 12)+"a\x00"+"\x13\x00\x00\x00"+le(4, 100)+"\x02\x01\x00\x01"+nowhat)), ""), hdf5.Limits{}, nil, "values of 100 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := walk(t, row.in, row.lim)
			all := strings.Join(got, "\n")
			if row.err != nil {
				if !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.text) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !strings.Contains(all, "odd") || !strings.Contains(all, row.text) {
				t.Errorf("got %v and %q", err, all)
			}
		})
	}
}

// FuzzWalk promises: what is told lies in the file, and reading costs no more
// than the limits allow.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(file(header(text("model_config", "{}"), link("a", 0, le(8, 48)), msg(8, "\x03\x01"+le(8, 84, 4))), "DATA")))
	f.Add([]byte(oldFile("soft\x00target\x00me\x00", entry(8, 0, 2, 13), entry(20, 96, 0, 0))))
	f.Add([]byte(file(header(msg(2, "\x00\x00"+le(8, 100, 200)), msg(0x15, "\x00\x00"+le(8, 100, 200))), "FRHP BTHD")))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := inside{t: t, size: int64(len(data))}
		_ = hdf5.Walk(strings.NewReader(string(data)), int64(len(data)), hdf5.Limits{Objects: 1000, Nodes: 5000, Read: 1 << 22, Extents: 10_000}, &in)
		if in.n > 500_000 {
			t.Fatalf("%d things told of %d bytes", in.n, len(data))
		}
	})
}

type inside struct {
	t    *testing.T
	size int64
	n    int
}

func (i *inside) check(offset, length int64) error {
	i.n++
	if offset < -1 || length < 0 || offset > i.size || length > i.size-max(offset, 0) {
		i.t.Fatalf("%d+%d in %d", offset, length, i.size)
	}
	return nil
}

func (i *inside) Attribute(_ string, a hdf5.Attribute) error { return i.check(a.Offset, 0) }
func (i *inside) Link(_ string, l hdf5.Link) error           { return i.check(l.Offset, 0) }
func (i *inside) Dataset(_ string, d hdf5.Dataset) error {
	for _, e := range d.Extents {
		if err := i.check(e.Offset, e.Length); err != nil {
			return err
		}
	}
	return i.check(d.Offset, 0)
}

func (i *inside) Odd(o hdf5.Odd) error {
	if o.Err != nil {
		i.n++
		return nil //nolint:nilerr // counted
	}
	return i.check(o.Offset, o.Length)
}
