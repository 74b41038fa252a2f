package safetensors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/safetensors"
)

// index judges the list of which file holds which tensor.
func index(ctx context.Context, in detect.Input, out detect.Sink) error {
	x, err := format.ReadIndex(in.Data, format.Limits{})
	switch {
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrLimit):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	hits(out, x.Troubles)
	sizes, complete := int64(0), in.Tree != nil
	for _, name := range x.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if why := foreign(name); why != "" {
			out.Hit(detect.Hit{Rule: ruleForeign, Offset: -1, Name: name, Summary: fmt.Sprintf("the index takes tensors from %.120q, %s", name, why)})
			complete = false
			continue
		}
		if !strings.HasSuffix(strings.ToLower(name), ".safetensors") {
			out.Hit(detect.Hit{Rule: ruleForm, Offset: -1, Name: name, Summary: fmt.Sprintf("the index takes tensors from %.120q, which is no safetensors file by its name", name)})
		}
		if in.Tree == nil {
			continue
		}
		e, err := in.Tree.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out.Fact("the index names files that are not there")
			complete = false
		case err != nil:
			return fmt.Errorf("look at %.80q: %w", name, err)
		case e.Kind != artifact.Regular: // a hub cache consists of links; what they lead to is scanned
			complete = false
		default:
			sizes += e.Size
		}
	}
	if complete && (x.TotalSize > sizes || x.TotalSize >= 0 && sizes-x.TotalSize > int64(len(x.Files))*(format.MaxHeader+8)) {
		out.Hit(detect.Hit{Rule: ruleForm, Offset: -1, Summary: fmt.Sprintf("the index claims %d bytes of tensors, its files have %d", x.TotalSize, sizes)})
	}
	return nil
}

// foreign says why a name is not that of a file in the same folder.
func foreign(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "which is no file"
	case strings.ContainsAny(name, "\\:\x00"):
		return "which is no plain name"
	case path.Base(name) != name:
		return "which is in another folder"
	}
	return ""
}
