package pickle

import "math"

// memo is the unpickler's dictionary from numbers to values. Small numbers,
// which are all there are in honest streams, lie in blocks.
type memo struct {
	dense [][]packed
	far   map[uint32]packed
	used  int
}

// slotBlock is smaller than blockSize: most pickles have few slots.
const (
	slotBits  = 8
	slotBlock = 1 << slotBits
)

// get returns the value at i, zero where there is none.
func (m *memo) get(i uint64) packed {
	if b := i >> slotBits; b < uint64(len(m.dense)) {
		return m.dense[b][i&(slotBlock-1)]
	}
	return m.far[uint32(min(i, math.MaxUint32))]
}

// put stores v at i. Numbers are dense up to twice what is in use.
func (m *memo) put(i uint64, v packed) {
	b := i >> slotBits
	for b >= uint64(len(m.dense)) && i <= uint64(2*m.used+4*slotBlock) {
		m.dense = append(m.dense, make([]packed, slotBlock))
		m.pull()
	}
	if b < uint64(len(m.dense)) {
		s := &m.dense[b][i&(slotBlock-1)]
		if *s == 0 {
			m.used++
		}
		*s = v
		return
	}
	if m.far == nil {
		m.far = map[uint32]packed{}
	}
	if _, ok := m.far[uint32(i)]; !ok {
		m.used++
	}
	m.far[uint32(i)] = v
}

// pull moves what now is dense out of the map.
func (m *memo) pull() {
	for i, v := range m.far {
		if b := uint64(i) >> slotBits; b < uint64(len(m.dense)) {
			m.dense[b][i&(slotBlock-1)] = v
			delete(m.far, i)
		}
	}
}
