package manifest

import (
	"sync"
	"time"
)

// interval is the least time between two calls of Options.Progress.
const interval = 100 * time.Millisecond

// meter counts what the workers have done. The zero value tells nobody.
type meter struct {
	report func(Progress)
	clock  func() time.Time

	mu   sync.Mutex
	now  Progress
	told time.Time
}

func newMeter(o Options) *meter {
	m := &meter{report: o.Progress, clock: o.Now}
	if m.clock == nil {
		m.clock = time.Now
	}
	return m
}

func (m *meter) bytes(n int64) { m.add(0, n) }
func (m *meter) file()         { m.add(1, 0) }

func (m *meter) add(files int, bytes int64) {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Files += files
	m.now.Bytes += bytes
	if t := m.clock(); t.Sub(m.told) >= interval {
		m.told = t
		m.report(m.now)
	}
}

// more raises the total by what has to be read a second time.
func (m *meter) more(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.TotalBytes += bytes
}

// last reports once more, whatever the time.
func (m *meter) last() {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report(m.now)
}
