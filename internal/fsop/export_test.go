package fsop

// WithoutUncached makes q behave as on a kernel without RWF_DONTCACHE.
func (q *Quiet) WithoutUncached() { q.probe() }
