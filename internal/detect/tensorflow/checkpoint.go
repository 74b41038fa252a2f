package tensorflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/tensorflow"
)

// checkpoint judges the index of a checkpoint, and the sizes of its data.
func checkpoint(ctx context.Context, in detect.Input, out detect.Sink) error {
	c, err := format.ReadCheckpoint(in.Data, in.Data.Size())
	switch {
	case errors.Is(err, format.ErrMalformed), errors.Is(err, format.ErrLimit):
		out.Hit(detect.Hit{Rule: ruleUnread, Offset: 0, Summary: err.Error()})
		return nil
	case err != nil:
		return err
	}
	for _, t := range c.Troubles {
		out.Hit(detect.Hit{Rule: ruleTable, Offset: t.Offset, Summary: t.Text})
	}
	hits := 0
	lie := func(v format.Variable, text string, args ...any) {
		if hits++; hits <= maxOfARule {
			out.Hit(detect.Hit{Rule: ruleTable, Offset: -1, Name: v.Name, Summary: fmt.Sprintf("the variable %.80q "+text, append([]any{v.Name}, args...)...)})
		}
	}
	ends := map[int32]int64{}
	order := slices.SortedFunc(slices.Values(c.Variables), func(a, b format.Variable) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length))
	})
	for _, v := range order {
		switch end := ends[v.Shard]; {
		case !v.Fits():
			lie(v, "has %d bytes, which its shape and type do not make", v.Length)
		case v.Shard >= c.Shards:
			lie(v, "is in file %d of %d", v.Shard, c.Shards)
		case v.Offset < end && v.Length > 0:
			lie(v, "shares bytes with another")
		case v.Offset > end:
			lie(v, "leaves a hole of %d bytes before it", v.Offset-end)
		}
		ends[v.Shard] = max(ends[v.Shard], v.Offset+v.Length)
	}
	return sizes(ctx, in, out, c.Shards, ends)
}

// maxShards is how many files of data are looked for.
const maxShards = 1000

// sizes compares the files of data with what the index places in them.
func sizes(ctx context.Context, in detect.Input, out detect.Sink, shards int32, ends map[int32]int64) error {
	stem := strings.TrimSuffix(in.Name, ".index")
	for n := range min(shards, maxShards) {
		if err := ctx.Err(); err != nil || in.Tree == nil {
			return err
		}
		name := fmt.Sprintf("%s.data-%05d-of-%05d", stem, n, shards)
		e, err := in.Tree.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out.Fact("the index of a checkpoint names data that is not there")
		case err != nil:
			return fmt.Errorf("look at %.80q: %w", name, err)
		case e.Kind == artifact.Regular && !e.ThroughLink && e.Size != ends[n]:
			out.Hit(detect.Hit{Rule: ruleTable, Offset: -1, Name: name, Summary: fmt.Sprintf("%.120q has %d bytes, the index places %d in it", name, e.Size, ends[n])})
		}
	}
	return nil
}
