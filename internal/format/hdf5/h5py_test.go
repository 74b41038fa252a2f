package hdf5_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/format/hdf5"
)

// write makes files as models are saved, with few and many attributes and
// links, in each form that h5py writes, and prints what is in them.
const write = `
import sys, numpy as np, h5py
def show(name, f):
    lines = []
    def attributes(path, o):
        for k, v in o.attrs.items():
            if isinstance(v, (bytes, np.bytes_)): v = [v.decode()]
            elif isinstance(v, str): v = [v]
            elif isinstance(v, np.ndarray) and v.dtype.kind in 'SO': v = [x.decode() if isinstance(x, bytes) else x for x in v]
            else: continue
            lines.append('%s.%s %s' % (path, k, '|'.join(v)))
    attributes('/', f)
    def visit(n, o):
        attributes('/' + n, o)
        if isinstance(o, h5py.Dataset): lines.append('data /%s %d' % (n, 0 if o.id.get_storage_size() == 0 else 1))
    f.visititems(visit)
    def links(g, path):
        for k in g:
            l = g.get(k, getlink=True)
            if isinstance(l, h5py.SoftLink): lines.append('soft %s/%s %s' % (path, k, l.path))
            elif isinstance(l, h5py.ExternalLink): lines.append('external %s/%s %s %s' % (path, k, l.filename, l.path))
            elif isinstance(g.get(k), h5py.Group): links(g[k], path + '/' + k)
    links(f, '')
    print('FILE ' + name); print('\n'.join(sorted(lines)))
for n, lv in enumerate(['earliest', ('earliest', 'v108'), 'v108']):
    name = '%d.h5' % n
    with h5py.File(sys.argv[1] + '/' + name, 'w', libver=lv) as f:
        f.attrs['model_config'] = '{"class_name": "Sequential"}' * 40
        f.attrs['fixed'] = np.bytes_(b'hello')
        f.attrs['names'] = np.array([b'dense_1', b'dense_22'])
        f.attrs['variable'] = ['x', 'yy', 'zzz']
        f.attrs['number'] = np.arange(5)
        g = f.create_group('layers/dense/vars')
        g.create_dataset('0', data=np.ones((30, 40), 'f4'))
        g.create_dataset('1', data=np.ones(300, 'f4'), chunks=(50,))
        g.create_dataset('2', data=np.ones((300, 300), 'f4'), chunks=(50, 50), compression='gzip', shuffle=True)
        g.create_dataset('empty', shape=(0,), maxshape=(None,), dtype='f4')
        g['soft'] = h5py.SoftLink('/layers/dense/vars/0')
        g['elsewhere'] = h5py.ExternalLink('/etc/passwd', '/x')
        for i in range(80): g.attrs['attribute %03d' % i] = 'value %d' % i * (i + 1)
        many = f.create_group('many')
        for i in range(700): many.create_dataset('d%d' % i, data=np.array([i]))
        f['type'] = np.dtype('f8')
        show(name, f)
`

// theirs runs the program with the Python that has h5py.
func theirs(t *testing.T, dir string) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		found, err := exec.LookPath(python)
		if err != nil || exec.CommandContext(t.Context(), found, "-I", "-c", "import h5py").Run() != nil {
			continue
		}
		out, err := exec.CommandContext(t.Context(), found, "-I", "-c", write, dir).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	t.Skip("no python3 with h5py: Debian has it as python3-h5py")
	return ""
}

// listing writes down what h5py lists, in its words.
type listing struct {
	lines []string
	odd   []string
}

func (l *listing) Attribute(path string, a hdf5.Attribute) error {
	var values []string
	for _, s := range a.Strings {
		values = append(values, string(s))
	}
	if a.Raw == nil {
		l.lines = append(l.lines, fmt.Sprintf("%s.%s %s", path, a.Name, strings.Join(values, "|")))
	}
	return nil
}

func (l *listing) Link(path string, k hdf5.Link) error {
	switch k.Kind {
	case hdf5.SoftLink:
		l.lines = append(l.lines, fmt.Sprintf("soft %s %s", path, k.Target))
	case hdf5.ExternalLink:
		l.lines = append(l.lines, fmt.Sprintf("external %s %s %s", path, k.File, k.Target))
	default:
		l.odd = append(l.odd, path)
	}
	return nil
}

func (l *listing) Dataset(path string, d hdf5.Dataset) error {
	l.lines = append(l.lines, fmt.Sprintf("data %s %d", path, min(1, len(d.Extents))))
	return nil
}

func (l *listing) Odd(o hdf5.Odd) error {
	if o.Err != nil {
		l.odd = append(l.odd, o.Err.Error())
	}
	return nil
}

// TestAgainstH5py compares attributes, links and datasets with those that h5py
// lists, in files that it wrote.
func TestAgainstH5py(t *testing.T) {
	dir := t.TempDir()
	for block := range strings.SplitSeq(strings.TrimPrefix(theirs(t, dir), "FILE "), "FILE ") {
		name, want, _ := strings.Cut(strings.TrimSpace(block), "\n")
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var l listing
		if err := hdf5.Walk(strings.NewReader(string(data)), int64(len(data)), hdf5.Limits{}, &l); err != nil || len(l.odd) > 0 {
			t.Errorf("%s: %v, %q", name, err, l.odd)
		}
		slices.Sort(l.lines)
		theirs := strings.Split(want, "\n")
		slices.Sort(theirs)
		if d := cmp.Diff(theirs, l.lines); d != "" {
			t.Errorf("%s: %.2000s", name, d)
		}
		t.Logf("%s: %d lines the same", name, len(theirs))
	}
}
