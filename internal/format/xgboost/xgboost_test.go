package xgboost_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/format/xgboost"
)

func u32(n ...int) string {
	var b []byte
	for _, v := range n {
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(v)))
	}
	return string(b)
}

func u64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

func name(s string) string { return u64(uint64(len(s))) + s }

// padded fills a struct with zeros.
func padded(s string, size int) string { return s + strings.Repeat("\x00", size-len(s)) }

func learner(attributes, metrics int) string {
	return padded(u32(0, 5, 0, attributes, metrics), 136) + name("binary:logistic")
}

// tree is one of three nodes.
func tree(left, right int) string {
	leaf := u32(-1<<31, -1, -1, 0, 0)
	return padded(u32(1, 3, 0, 1, 5, 0), 148) + u32(-1, left, right, 2, 0) + leaf + leaf + strings.Repeat("\x00", 3*16)
}

func trees(n int, booster string, all ...string) string {
	return name(booster) + padded(u32(n, 1, 5, 0, 0, 0, 1, 0), 160) + strings.Join(all, "") + strings.Repeat("\x00\x00\x00\x00", n)
}

func read(s string) (*xgboost.Model, error) {
	return xgboost.Read(strings.NewReader(s), int64(len(s)))
}

func TestRead(t *testing.T) {
	for title, data := range map[string]string{
		"trees":      learner(0, 0) + trees(2, "gbtree", tree(1, 2), tree(1, 2)),
		"signature":  "binf" + learner(0, 0) + trees(1, "gbtree", tree(1, 2)),
		"dart":       learner(0, 0) + trees(1, "dart", tree(1, 2)) + u64(1) + "\x00\x00\x80?",
		"linear":     learner(0, 0) + name("gblinear") + padded(u32(5, 1), 136) + u64(6) + strings.Repeat("\x00", 24),
		"attributes": learner(1, 1) + trees(1, "gbtree", tree(1, 2)) + u64(1) + name("best_iteration") + name("7") + u64(1) + name("auc"),
	} {
		m, err := read(data)
		if err != nil || m.End != int64(len(data)) || m.Objective != "binary:logistic" {
			t.Errorf("%s: %+v of %d bytes: %v", title, m, len(data), err)
		}
		if !xgboost.Looks([]byte(data[:200])) {
			t.Errorf("%s: is not taken for a model", title)
		}
	}
}

func TestRefused(t *testing.T) {
	for title, tt := range map[string]struct {
		data string
		want error
	}{
		"booster":        {learner(0, 0) + name("forest"), xgboost.ErrMalformed},
		"long_name":      {padded("", 136) + u64(1<<40), xgboost.ErrMalformed},
		"negative_trees": {learner(0, 0) + trees(0, "gbtree")[:14] + padded(u32(-1), 160), xgboost.ErrMalformed},
		"many_trees":     {learner(0, 0) + name("gbtree") + padded(u32(1<<30), 160), xgboost.ErrMalformed},
		"outside_node":   {learner(0, 0) + trees(1, "gbtree", tree(1, 9)), xgboost.ErrMalformed},
		"many_nodes":     {learner(0, 0) + name("gbtree") + padded(u32(1), 160) + padded(u32(1, 1<<30), 148), xgboost.ErrMalformed},
		"cut_off":        {strings.TrimSuffix(learner(0, 0)+trees(1, "gbtree", tree(1, 2)), "\x00"), xgboost.ErrTruncated},
		"weights":        {learner(0, 0) + name("gblinear") + padded("", 136) + u64(1<<62), xgboost.ErrTruncated},
		"attributes":     {learner(1, 0) + trees(1, "gbtree", tree(1, 2)) + u64(1<<30), xgboost.ErrTruncated},
	} {
		if _, err := read(tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: error is %v, want %v", title, err, tt.want)
		}
	}
	if xgboost.Looks([]byte(strings.Repeat("\x00", 300))) {
		t.Error("zeros are taken for a model")
	}
}

// FuzzRead promises that what is accepted lies within the file.
func FuzzRead(f *testing.F) {
	f.Add([]byte(learner(1, 1) + trees(1, "gbtree", tree(1, 2)) + u64(0) + u64(0)))
	f.Add([]byte(learner(0, 0) + name("gblinear") + padded("", 136) + u64(0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := read(string(data))
		if err == nil && (m.End > int64(len(data)) || m.Booster == "") {
			t.Fatalf("%+v of %d bytes", m, len(data))
		}
	})
}
