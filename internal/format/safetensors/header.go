package safetensors

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"github.com/weightwarden/weightwarden/internal/format/jsontoken"
)

// reader is a header while it is read.
type reader struct {
	*File
	in    *jsontoken.Reader
	lim   Limits
	size  int64
	names map[string]bool
	keys  int
	meta  int
}

// wrap gives an error of the JSON reader the kind of this package.
func wrap(err error) error {
	switch {
	case errors.Is(err, jsontoken.ErrMalformed):
		return fmt.Errorf("header: %w: %w", err, ErrMalformed)
	case errors.Is(err, jsontoken.ErrLimit):
		return fmt.Errorf("header: %w: %w", err, ErrLimit)
	}
	return err
}

func (r *reader) header() error {
	first, err := r.in.Next()
	if err != nil {
		return wrap(err)
	}
	if first.Kind != jsontoken.Object {
		return fmt.Errorf("header is no object: %w", ErrMalformed)
	}
	if first.Offset != 8 {
		r.trouble(Trouble{Kind: Form, Offset: 8, Length: first.Offset - 8}, "white space before the header's brace")
	}
	err = r.in.Members(func(key jsontoken.Token) error {
		if r.names[key.Text] {
			r.trouble(Trouble{Kind: Twice, Offset: key.Offset, Tensor: key.Text}, "the key %.80q is given twice", key.Text)
		}
		r.names[key.Text] = true
		if key.Text == "__metadata__" {
			return r.metadata()
		}
		return r.tensor(key)
	})
	if err != nil {
		return wrap(err)
	}
	end := r.in.Offset()
	if err := r.in.End(); err != nil {
		return wrap(err)
	}
	return r.padding(end)
}

// padding wants spaces behind the brace that ends the header. It knows that
// there is only white space.
func (r *reader) padding(end int64) error {
	if r.in.Offset() != r.Data {
		return fmt.Errorf("header ends at %d and not at %d: %w", r.in.Offset(), r.Data, ErrMalformed)
	}
	if n := r.Data - end; n > 4096 {
		r.trouble(Trouble{Kind: Form, Offset: end, Length: n}, "%d bytes of white space behind the header", n)
	}
	return nil
}

// object calls f for each key of the object that must be next, and names keys
// that are given twice. Something else than an object is skipped.
func (r *reader) object(what, tensor string, f func(key, value jsontoken.Token) error) error {
	first, err := r.in.Next()
	if err != nil {
		return err
	}
	if first.Kind != jsontoken.Object {
		r.trouble(Trouble{Kind: Form, Offset: first.Offset, Tensor: tensor}, "%s is no object", what)
		return r.in.Skip(first)
	}
	seen := map[string]bool{}
	return r.in.Members(func(key jsontoken.Token) error {
		if seen[key.Text] {
			r.trouble(Trouble{Kind: Twice, Offset: key.Offset, Tensor: tensor}, "the key %.80q is given twice in %s", key.Text, what)
		}
		seen[key.Text] = true
		value, err := r.in.Next()
		if err != nil {
			return err
		}
		return f(key, value)
	})
}

func (r *reader) metadata() error {
	return r.object("__metadata__", "", func(key, value jsontoken.Token) error {
		if value.Kind != jsontoken.String {
			r.trouble(Trouble{Kind: Form, Offset: value.Offset}, "the metadata %.80q is no string", key.Text)
			return r.in.Skip(value)
		}
		if r.meta += len(key.Text) + len(value.Text); r.meta > r.lim.Metadata {
			return fmt.Errorf("more than %d bytes of metadata: %w", r.lim.Metadata, ErrLimit)
		}
		r.Metadata = append(r.Metadata, Pair{key.Text, value.Text, value.Offset})
		return nil
	})
}

// tensor reads the description of a tensor and keeps it when it has one.
func (r *reader) tensor(name jsontoken.Token) error {
	if r.keys++; r.keys > r.lim.Tensors {
		return fmt.Errorf("more than %d tensors: %w", r.lim.Tensors, ErrLimit)
	}
	t := Tensor{Name: name.Text, Described: name.Offset, Shape: []int64{}}
	var shape, offsets, typed, bad bool
	err := r.object(fmt.Sprintf("the tensor %.80q", t.Name), t.Name, func(key, value jsontoken.Token) error {
		switch key.Text {
		case "dtype":
			typed = value.Kind == jsontoken.String
			t.DType = DType(value.Text)
			return r.in.Skip(value)
		case "shape":
			var err error
			t.Shape, shape, err = r.numbers(t, value, r.lim.Dims)
			bad = bad || err == nil && !shape
			shape = true
			return err
		case "data_offsets":
			pair, ok, err := r.numbers(t, value, 2)
			offsets = true
			if !ok || len(pair) != 2 {
				bad = true
				return err
			}
			t.Offset, t.Length = pair[0], pair[1]-pair[0]
			return err
		}
		r.trouble(Trouble{Kind: Form, Offset: key.Offset, Tensor: t.Name}, "the tensor %.80q has the key %.80q", t.Name, key.Text)
		return r.in.Skip(value)
	})
	if err != nil {
		return err
	}
	switch {
	case !typed || !shape || !offsets:
		r.trouble(Trouble{Kind: Form, Offset: name.Offset, Tensor: t.Name}, "the tensor %.80q lacks dtype, shape or data_offsets", t.Name)
	case bad: // named already
	case t.Length < 0 || t.Offset > 1<<62 || t.Length > 1<<62:
		r.trouble(Trouble{Kind: Number, Offset: name.Offset, Tensor: t.Name}, "the tensor %.80q ends before it begins, or where no file can", t.Name)
	default:
		t.Offset += r.Data
		r.extent(t)
		r.Tensors = append(r.Tensors, t)
	}
	return nil
}

// numbers reads an array of whole numbers from zero on. ok is false when it is
// something else, which is named.
func (r *reader) numbers(t Tensor, first jsontoken.Token, most int) (list []int64, ok bool, err error) {
	if first.Kind != jsontoken.Array {
		r.trouble(Trouble{Kind: Number, Offset: first.Offset, Tensor: t.Name}, "the tensor %.80q has no list of numbers where one belongs", t.Name)
		return nil, false, r.in.Skip(first)
	}
	ok, list = true, []int64{}
	err = r.in.Elements(func(e jsontoken.Token) error {
		n, err := strconv.ParseInt(e.Text, 10, 64)
		if e.Kind != jsontoken.Number || err != nil || n < 0 || e.Text == "-0" {
			if ok {
				r.trouble(Trouble{Kind: Number, Offset: e.Offset, Tensor: t.Name}, "the tensor %.80q has %.40q where a size belongs", t.Name, e.Text)
			}
			ok = false
			return r.in.Skip(e)
		}
		if len(list) == most {
			if most == 2 {
				r.trouble(Trouble{Kind: Number, Offset: e.Offset, Tensor: t.Name}, "the tensor %.80q has more than two offsets", t.Name)
				ok = false
				return nil
			}
			return fmt.Errorf("more than %d dimensions: %w", most, ErrLimit)
		}
		list = append(list, n)
		return nil
	})
	if most == 2 && ok && len(list) != 2 {
		r.trouble(Trouble{Kind: Number, Offset: first.Offset, Tensor: t.Name}, "the tensor %.80q has %d offsets", t.Name, len(list))
	}
	return list, ok, err
}

// extent compares shape and type with the length.
func (r *reader) extent(t Tensor) {
	at := Trouble{Kind: Extent, Offset: t.Described, Tensor: t.Name}
	width, known := t.DType.Bits()
	if !known {
		at.Kind = Type
		r.trouble(at, "the tensor %.80q has the unknown type %.40q", t.Name, string(t.DType))
		return
	}
	n, ok := product(t.Shape, width)
	switch {
	case !ok:
		r.trouble(at, "the size of the tensor %.80q overflows", t.Name)
	case n%8 != 0:
		r.trouble(at, "the tensor %.80q does not end at a byte", t.Name)
	case n/8 != uint64(t.Length):
		r.trouble(at, "the tensor %.80q has %d bytes, its shape and type make %d", t.Name, t.Length, n/8)
	}
}

// product multiplies; ok is false when it overflows before a factor of zero
// could make up for it, as in the format's own reader.
func product(shape []int64, width uint64) (n uint64, ok bool) {
	n = 1
	for _, d := range shape {
		over, low := bits.Mul64(n, uint64(d))
		if over != 0 {
			return 0, false
		}
		n = low
	}
	over, low := bits.Mul64(n, width)
	return low, over == 0
}

// tile looks whether the tensors cover the data exactly.
func (r *reader) tile() {
	slices.SortFunc(r.Tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length), cmp.Compare(a.Described, b.Described))
	})
	at := r.Data
	for _, t := range r.Tensors {
		end := t.Offset + t.Length
		switch {
		case t.Offset > at:
			r.trouble(Trouble{Kind: Hole, Offset: at, Length: min(t.Offset, r.size) - min(at, r.size), Tensor: t.Name}, "%d bytes before the tensor %.80q belong to no tensor", t.Offset-at, t.Name)
		case t.Offset < at:
			r.trouble(Trouble{Kind: Overlap, Offset: t.Offset, Length: min(end, at) - t.Offset, Tensor: t.Name}, "the tensor %.80q shares bytes with another", t.Name)
		}
		if end > r.size && at <= r.size {
			r.trouble(Trouble{Kind: Short, Offset: r.size, Tensor: t.Name}, "the file ends at %d, the tensor %.80q at %d", r.size, t.Name, end)
		}
		at = max(at, end)
	}
	// What is behind a description that was not understood may well belong to
	// it; that it is not understood was said.
	if at < r.size {
		r.trouble(Trouble{Kind: Tail, Offset: at, Length: r.size - at}, "%d bytes behind the last tensor", r.size-at)
	}
}
