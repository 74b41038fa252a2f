package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/onnx"
)

// maxFile is longer than any file of a model.
const maxFile = 1 << 50

// keys are those that the format has.
var keys = []string{"location", "offset", "length", "checksum", "basepath"}

// external judges all tensors whose bytes are elsewhere.
func (x *examiner) external() error {
	for _, t := range x.m.Tensors {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		if len(t.External) == 0 && !t.Elsewhere {
			continue
		}
		if err := x.entries(t); err != nil {
			return err
		}
	}
	return nil
}

// entries judges what one tensor says about where its bytes are.
func (x *examiner) entries(t *format.Tensor) error {
	location, found := format.Pair{Offset: t.Described}, false
	offset, length := int64(0), int64(-1)
	seen := map[string]bool{}
	for _, p := range t.External {
		if seen[p.Key] {
			x.tensor(t, ruleEntry, p, "has the entry %.40q twice", p.Key)
		}
		seen[p.Key] = true
		switch p.Key {
		case "location":
			location, found = p, true
		case "offset", "length":
			n, ok := number(p.Value)
			if !ok {
				x.tensor(t, ruleEntry, p, "has the %s %.60q", p.Key, p.Value)
			} else if p.Key == "offset" {
				offset = n
			} else {
				length = n
			}
		case "basepath":
			if why := leadsOut(p.Value); why != "" {
				x.tensor(t, ruleLeadsOut, p, "has its bytes below %.120q, %s", p.Value, why)
			}
		default:
			if !slices.Contains(keys, p.Key) {
				x.tensor(t, ruleEntry, p, "has the entry %.60q, which the format does not have", p.Key)
			}
		}
	}
	if length >= 0 && t.Bytes >= 0 && length != t.Bytes {
		x.tensor(t, ruleEntry, location, "takes %d bytes from elsewhere, its shape and type make %d", length, t.Bytes)
	}
	if most := max(length, t.Bytes, 0); offset > maxFile || most > maxFile-offset {
		x.tensor(t, ruleEntry, location, "takes %d bytes from %d on, where no file has any", most, offset)
	}
	why := leadsOut(location.Value)
	if !found {
		why = "which is no name"
	}
	if why != "" {
		x.tensor(t, ruleLeadsOut, location, "has its bytes in %.120q, %s", location.Value, why)
		return nil
	}
	return x.file(t, location, offset, max(length, t.Bytes, 0))
}

// tensor reports something about a tensor.
func (x *examiner) tensor(t *format.Tensor, rule string, p format.Pair, text string, args ...any) {
	x.hit(detect.Hit{
		Rule: rule, Offset: p.Offset, Name: t.Name, Node: t.Where, Evidence: []byte(p.Key + "=" + p.Value),
		Summary: fmt.Sprintf("the tensor %.80q "+text, append([]any{t.Name}, args...)...),
	})
}

// number reads a decimal number from zero on, without sign or spaces.
func number(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// leadsOut says why a path is none of a file below the model's folder, by any
// system's rules.
func leadsOut(p string) string {
	switch {
	case p == "" || p == ".":
		return "which is no name"
	case strings.Contains(p, `\`):
		return "which has a backslash"
	case strings.HasPrefix(p, "/"):
		return "which is absolute"
	case strings.Contains(p, "://") || strings.HasPrefix(strings.ToLower(p), "file:"):
		return "which is an address"
	case len(p) > 1 && p[1] == ':':
		return "which has a drive"
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "which has a control character"
	case slices.Contains(strings.Split(p, "/"), ".."):
		return "which leads out of the model's folder"
	}
	return ""
}

// file looks at the file that holds a tensor's bytes.
func (x *examiner) file(t *format.Tensor, location format.Pair, offset, length int64) error {
	if x.in.Tree == nil {
		return nil
	}
	name := path.Clean(location.Value)
	e, err := x.in.Tree.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		x.out.Fact("names external data that is not there")
		return nil
	case err != nil:
		return fmt.Errorf("look at %.80q: %w", name, err)
	case e.ThroughLink:
		x.tensor(t, ruleLink, location, "has its bytes in %.120q, which is reached through a link", name)
		return nil
	case e.Kind == artifact.Symlink:
		return x.link(t, location, name, e.Target)
	case e.Kind != artifact.Regular:
		x.tensor(t, ruleLink, location, "has its bytes in %.120q, which is a %s", name, e.Kind)
		return nil
	case e.Links > 1:
		x.tensor(t, ruleLink, location, "has its bytes in %.120q, which is a file of %d names", name, e.Links)
	}
	if offset > e.Size || length > e.Size-offset {
		x.tensor(t, ruleEntry, location, "takes bytes %d to %d of %.120q, which has %d", offset, offset+length, name, e.Size)
	}
	return nil
}

// link judges a link in place of a file. Caches of Hugging Face consist of
// links to files that are named by their content.
func (x *examiner) link(t *format.Tensor, location format.Pair, name, target string) error {
	resolved := path.Join(path.Dir(name), target)
	h := detect.Hit{
		Rule: ruleLink, Offset: location.Offset, Name: t.Name, Node: t.Where, Evidence: []byte(target),
		Summary: fmt.Sprintf("the tensor %.80q has its bytes in %.120q, which is a link to %.120q", t.Name, name, target),
	}
	e, err := x.in.Tree.Lstat(resolved)
	switch {
	case path.IsAbs(target), err != nil && !errors.Is(err, fs.ErrNotExist):
		h.Verdict, h.Severity = leadsAway()
	case err == nil && path.Base(path.Dir(resolved)) == "blobs" && e.Kind == artifact.Regular && !e.ThroughLink:
		return nil
	}
	x.hit(h)
	return nil
}
