package safetensors

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/weightwarden/weightwarden/internal/format/jsontoken"
)

// Index says which file holds which tensor of a model in several files.
type Index struct {
	// Files are the names of the files, sorted, each once; Tensors how many
	// tensors are listed.
	Files   []string
	Tensors int
	// TotalSize is what the metadata claims the tensors take, -1 when it
	// claims nothing.
	TotalSize int64
	Troubles  []Trouble
}

// ReadIndex reads an index, such as model.safetensors.index.json.
func ReadIndex(data io.Reader, lim Limits) (*Index, error) {
	lim = lim.filled()
	r := &reader{File: &File{}, lim: lim, in: jsontoken.New(data, 0, jsontoken.Limits{Depth: 100, String: 1 << 20})}
	x := &Index{TotalSize: -1}
	files, names := map[string]bool{}, map[string]bool{}
	listed := false
	err := r.object("the index", "", func(key, value jsontoken.Token) error {
		if key.Text == "metadata" && value.Kind == jsontoken.Object {
			return x.metadata(r)
		}
		if key.Text != "weight_map" || value.Kind != jsontoken.Object {
			r.trouble(Trouble{Kind: Form, Offset: key.Offset}, "the index has the key %.80q", key.Text)
			return r.in.Skip(value)
		}
		listed = true
		return r.in.Members(func(name jsontoken.Token) error {
			file, err := r.in.Next()
			if err != nil {
				return err
			}
			if names[name.Text] {
				r.trouble(Trouble{Kind: Twice, Offset: name.Offset, Tensor: name.Text}, "the tensor %.80q is given twice", name.Text)
			}
			names[name.Text] = true
			if len(names) > lim.Tensors {
				return fmt.Errorf("more than %d tensors: %w", lim.Tensors, ErrLimit)
			}
			if file.Kind != jsontoken.String {
				r.trouble(Trouble{Kind: Form, Offset: file.Offset, Tensor: name.Text}, "the tensor %.80q is in no file", name.Text)
				return r.in.Skip(file)
			}
			files[file.Text] = true
			return nil
		})
	})
	if err == nil {
		err = r.in.End()
	}
	if err != nil {
		return nil, wrap(err)
	}
	if !listed {
		r.trouble(Trouble{Kind: Form}, "the index has no weight_map")
	}
	for f := range files {
		x.Files = append(x.Files, f)
	}
	slices.Sort(x.Files)
	x.Tensors, x.Troubles = len(names), r.Troubles
	return x, nil
}

// metadata reads the total size; other keys are the writer's own.
func (x *Index) metadata(r *reader) error {
	return r.in.Members(func(key jsontoken.Token) error {
		value, err := r.in.Next()
		if err != nil {
			return err
		}
		if key.Text == "total_size" {
			n, err := strconv.ParseFloat(value.Text, 64) // transformers once wrote a float
			if value.Kind != jsontoken.Number || err != nil || n < 0 || n > 1<<62 {
				r.trouble(Trouble{Kind: Number, Offset: value.Offset}, "total_size is %.40q", value.Text)
			} else {
				x.TotalSize = int64(n)
			}
		}
		return r.in.Skip(value)
	})
}
