package pickle

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/weightwarden/weightwarden/internal/detect"
	format "github.com/weightwarden/weightwarden/internal/format/pickle"
	"github.com/weightwarden/weightwarden/internal/format/torch"
)

// legacyPickles is how many pickles stand before the storages: magic number,
// version, system, object, keys (torch/serialization.py, _legacy_save).
const legacyPickles = 5

// storage is what a persistent id says.
type storage struct {
	key      string
	elements int64
	width    int64
}

// legacy judges a file from before torch wrote archives.
func (j *examiner) legacy() error {
	size := j.in.Data.Size()
	found := map[string]storage{}
	j.storages = func(m *format.Machine, id format.Value) {
		if st, ok := storageOf(m, id); ok {
			found[st.key] = st
		}
	}
	at := int64(0)
	for n := range legacyPickles {
		end, more, err := j.one(at, n)
		if err != nil {
			return err
		}
		if !more || end == at {
			j.hit(detect.Hit{Rule: ruleLegacy, Offset: at, Summary: fmt.Sprintf("a legacy torch file has %d pickles, this one ends in number %d", legacyPickles, n+1)})
			return nil
		}
		at = end
	}
	return j.legacyStorages(at, size, found)
}

// storageOf reads ("storage", class, key, location, elements, …), whose form
// was checked.
func storageOf(m *format.Machine, id format.Value) (storage, bool) {
	parts := m.Items(id)
	key, ok, err := m.Text(parts[2], 1<<10)
	if err != nil || !ok {
		return storage{}, false
	}
	width, ok := torch.ElementSize(m.Global(parts[1].GlobalID()).Name)
	return storage{string(key), parts[4].Int(), width}, ok
}

// legacyStorages accounts for the numbers: for each key, in order, a count and
// that many elements.
func (j *examiner) legacyStorages(at, size int64, found map[string]storage) error {
	keys := make([]string, 0, len(found))
	for k := range found {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		st := found[k]
		var count [8]byte
		if size-at < 8 {
			j.hit(detect.Hit{Rule: ruleLegacy, Offset: at, Summary: fmt.Sprintf("the storage %.80q is missing", k)})
			return nil
		}
		if _, err := j.in.Data.ReadAt(count[:], at); err != nil {
			return fmt.Errorf("read storage: %w", err)
		}
		n := binary.LittleEndian.Uint64(count[:])
		at += 8
		if n != uint64(st.elements) || st.elements > (size-at)/st.width {
			j.hit(detect.Hit{Rule: ruleLegacy, Offset: at - 8, Summary: fmt.Sprintf("the storage %.80q has %d elements where %d were announced and %d bytes are left", k, n, st.elements, size-at)})
			return nil
		}
		at += st.elements * st.width
	}
	if at < size {
		j.tail(at, size)
	}
	return nil
}
