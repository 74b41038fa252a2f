package drift

import (
	"maps"
	"math"
	"slices"
)

// JSD returns the Jensen-Shannon divergence of p and q in bits: 0 for equal
// distributions, 1 for distributions without a common class. The result does
// not depend on the order of the classes. Two empty distributions are equal;
// an empty one and another have nothing in common.
func JSD(p, q Distribution) float64 {
	p, q = p.normalised(), q.normalised()
	if len(p) == 0 || len(q) == 0 {
		if len(p) == len(q) {
			return 0
		}
		return 1
	}
	var s sum
	for _, class := range union(p, q) {
		a, b := p[class], q[class]
		s.add(term(a, b) + term(b, a))
	}
	return min(max(s.value(), 0), 1) // rounding may leave the range by some 1e-16
}

// term is a's part of one class: half of a·log2(a/m), m being the mean of a
// and b. It is 0 at a = 0, which is its limit.
func term(a, b float64) float64 {
	if a == 0 {
		return 0
	}
	return a / 2 * math.Log2(2*a/(a+b))
}

// normalised returns d divided by its sum and without classes of no share. A
// distribution with a share that is negative or not finite comes back empty:
// nothing can be said about it.
func (d Distribution) normalised() Distribution {
	var total sum
	for _, class := range slices.Sorted(maps.Keys(d)) {
		share := d[class]
		if share < 0 || math.IsNaN(share) || math.IsInf(share, 0) {
			return Distribution{}
		}
		total.add(share)
	}
	n := total.value()
	out := make(Distribution, len(d))
	if n == 0 || math.IsInf(n, 0) || math.IsNaN(n) {
		return out
	}
	for class, share := range d {
		if share > 0 {
			out[class] = share / n
		}
	}
	return out
}

// union returns the classes of both distributions, sorted.
func union(p, q Distribution) []string {
	all := make(map[string]bool, max(len(p), len(q)))
	for class := range p {
		all[class] = true
	}
	for class := range q {
		all[class] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// sum adds with Neumaier's compensation, so that the tail of a distribution
// is not lost beside its head.
type sum struct{ s, c float64 }

func (s *sum) add(x float64) {
	t := s.s + x
	if math.Abs(s.s) >= math.Abs(x) {
		s.c += (s.s - t) + x
	} else {
		s.c += (x - t) + s.s
	}
	s.s = t
}

func (s *sum) value() float64 { return s.s + s.c }
