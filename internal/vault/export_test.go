package vault

// SetFree makes v believe that its disk has other room than it has.
func (v *Vault) SetFree(free func(path string) (int64, error)) { v.free = free }
