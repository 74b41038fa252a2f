package oms

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// shards reads resources named path:start:end. The specification records the
// plain hash as their algorithm; what the implementations write carries the
// shard size too. Both are read.
func (s *statement) shards(c *claims, alg artifact.Algorithm, root *rootDigest) error {
	if s.shardSize <= 0 {
		return fmt.Errorf("shards without a shard size: %w", ErrMalformed)
	}
	c.emptyHidden = true
	at := map[string]int{}
	sharded := s.hashType + "-sharded-" + decimal(s.shardSize)
	for _, r := range s.resources {
		d, err := r.parse(alg, s.hashType, sharded)
		if err != nil {
			return err
		}
		path, sh, err := parseShard(r.name)
		if err != nil {
			return err
		}
		if _, ok := at[path]; !ok {
			at[path] = len(c.files)
			c.files = append(c.files, claim{path: path})
		}
		sh.digest = d
		f := &c.files[at[path]]
		f.shards = append(f.shards, sh)
		root.add(d)
	}
	for i := range c.files {
		if err := c.checkName(c.files[i].path, len(c.files)); err != nil {
			return err
		}
		if err := c.files[i].checkShards(s.shardSize); err != nil {
			return err
		}
	}
	c.noteOrder(s.resources, true)
	return nil
}

// parseShard takes the last two numbers of a shard's name: a file name may
// have colons of its own.
func parseShard(name string) (path string, s shard, err error) {
	rest, end, ok1 := cutLast(name)
	path, start, ok2 := cutLast(rest)
	if !ok1 || !ok2 || path == "" {
		return "", shard{}, fmt.Errorf("shard %.80q: want path:start:end: %w", name, ErrMalformed)
	}
	if s.start, err = offset(start); err == nil {
		s.end, err = offset(end)
	}
	if err != nil {
		return "", shard{}, fmt.Errorf("shard %.80q: %w", name, err)
	}
	return path, s, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// offset accepts the one spelling of a number: two would be two names of the
// same shard.
func offset(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || decimal(n) != s {
		return 0, fmt.Errorf("offset %.40q: %w", s, ErrMalformed)
	}
	return n, nil
}

// checkShards brings the shards into order and fails unless they follow each
// other from 0, all of the same size but the last. That the last one ends
// where the file ends is seen when the file is read.
func (c *claim) checkShards(size int64) error {
	slices.SortFunc(c.shards, func(a, b shard) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	next := int64(0)
	for i, s := range c.shards {
		n := s.end - s.start
		last := i == len(c.shards)-1
		if s.start != next || n <= 0 || n > size || n < size && !last {
			return fmt.Errorf("file %.80q: shard %d to %d does not follow %d in shards of %d: %w",
				c.path, s.start, s.end, next, size, ErrRefused)
		}
		next = s.end
	}
	return nil
}

// noteOrder notes resources that stand neither in the order of the
// specification nor in that of the reference implementation. The signature
// covers any order.
func (c *claims) noteOrder(resources []descriptor, sharded bool) {
	spec := func(a, b descriptor) int { return cmp.Compare(a.name, b.name) }
	reference := func(a, b descriptor) int { return comparePython(a.name, b.name) }
	if sharded {
		reference = compareShardsPython
	}
	if !slices.IsSortedFunc(resources, spec) && !slices.IsSortedFunc(resources, reference) {
		c.notes = append(c.notes, "the signed list is in no known order; every entry was checked all the same")
	}
}

// comparePython compares paths as the reference implementation does: by their
// elements, so that "a/b" stands before "a-b/c".
func comparePython(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

func compareShardsPython(a, b descriptor) int {
	pathA, shardA, errA := parseShard(a.name)
	pathB, shardB, errB := parseShard(b.name)
	if errA != nil || errB != nil {
		return cmp.Compare(a.name, b.name) // refused before
	}
	return cmp.Or(comparePython(pathA, pathB), cmp.Compare(shardA.start, shardB.start), cmp.Compare(shardA.end, shardB.end))
}
