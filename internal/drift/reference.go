package drift

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// shareSlack is how far shares may add up beside 1: room for shares rounded
// to two digits.
const shareSlack = 0.01

// ReadReference reads reference outputs as [ReadOutputs] does, or one JSON
// object {class: share}. Shares must add up to 1 within 0.01; whole numbers
// that do not are taken as counts. Unlike recent outputs, a reference has to be
// understood to the last line.
func ReadReference(r io.Reader, lim Limits) (Distribution, error) {
	lim = lim.filled()
	br := bufio.NewReaderSize(r, lim.LineBytes)
	head, err := br.Peek(lim.LineBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read reference: %w", err)
	}
	first, rest, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	if !isOutput(first) {
		return readShares(br, lim)
	}
	if len(bytes.TrimSpace(rest)) == 0 {
		if _, err := readShares(bytes.NewReader(first), lim); err == nil {
			return nil, errors.New("read reference: one object that may be a single output or shares with a class named predicted_class or label; spread the shares over several lines")
		}
	}
	return referenceOutputs(br, lim)
}

// isOutput reports whether line is, or begins as, an object with a class
// field.
func isOutput(line []byte) bool {
	found := false
	_ = object(json.NewDecoder(bytes.NewReader(line)), func(key string, dec *json.Decoder) error {
		found = found || key == "predicted_class" || key == "label"
		var skipped json.RawMessage
		return dec.Decode(&skipped)
	})
	return found
}

func referenceOutputs(r io.Reader, lim Limits) (Distribution, error) {
	s, err := ReadOutputs(r, lim)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read reference: %w", err)
	case s.Unreadable > 0:
		return nil, fmt.Errorf("read reference: line %d: %s (%d such lines)", s.FirstLine, s.FirstReason, s.Unreadable)
	}
	return s.Distribution(), nil
}

// readShares reads one object of numbers, in at most lim.ReferenceBytes.
func readShares(r io.Reader, lim Limits) (Distribution, error) {
	bounded := &io.LimitedReader{R: r, N: lim.ReferenceBytes}
	dec := json.NewDecoder(bounded)
	dec.UseNumber()
	d := Distribution{}
	err := object(dec, func(class string, dec *json.Decoder) error {
		t, err := dec.Token()
		share, ok := t.(json.Number)
		switch {
		case err != nil:
			return notJSON(err)
		case !ok:
			return fmt.Errorf("class %.80q: not a number", class)
		}
		return d.set(class, share, lim)
	})
	switch {
	case bounded.N <= 0:
		return nil, fmt.Errorf("read reference: larger than %d bytes", lim.ReferenceBytes)
	case err != nil:
		return nil, fmt.Errorf("read reference: %w", err)
	}
	return d.shares()
}

// set adds one class as it stands in the file.
func (d Distribution) set(class string, share json.Number, lim Limits) error {
	if _, twice := d[class]; twice {
		return fmt.Errorf("class %.80q given twice", class)
	}
	f, err := strconv.ParseFloat(string(share), 64)
	switch {
	case err != nil || f < 0:
		return fmt.Errorf("class %.80q: %.40q is not a share", class, string(share))
	case len(class) > lim.ClassBytes:
		return fmt.Errorf("class name of %d bytes, at most %d are allowed", len(class), lim.ClassBytes)
	case len(d) >= lim.Classes:
		return fmt.Errorf("more than %d classes", lim.Classes)
	}
	d[class] = f
	return nil
}

// shares returns d normalised if it holds shares or counts.
func (d Distribution) shares() (Distribution, error) {
	var total sum
	whole := true
	for _, class := range union(d, nil) {
		total.add(d[class])
		whole = whole && d[class] == math.Trunc(d[class])
	}
	n := total.value()
	switch {
	case math.Abs(n-1) <= shareSlack, whole && n > 1 && !math.IsInf(n, 0):
		return d.normalised(), nil
	case n == 0:
		return nil, errors.New("read reference: no class has a share")
	default:
		return nil, fmt.Errorf("read reference: shares add up to %.6g, want 1", n)
	}
}
