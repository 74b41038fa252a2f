package watch

// NewLimited returns a watcher whose kernel lets it watch so many paths.
func NewLimited(roots []Root, o Options, limit int) *Watcher {
	w := New(nil, o)
	w.notes.(*inotify).limit = limit
	for _, r := range roots {
		one := &root{Root: r}
		w.roots = append(w.roots, one)
		w.arm(one, nil)
	}
	return w
}

// ParseNotes and ParseDeeds count what is in what the kernel wrote.
func ParseNotes(buf []byte) (count, bytes int) {
	for _, n := range parseNotes(buf) {
		count++
		bytes += len(n.name)
	}
	return count, bytes
}

// ParseDeeds is as ParseNotes.
func ParseDeeds(buf []byte) (count, bytes int) {
	for _, d := range parseDeeds(buf) {
		count++
		bytes += len(d.name)
	}
	return count, bytes
}
