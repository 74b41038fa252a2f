package evidence

// ParseEntryThoroughly is ParseEntry without its quick way.
var ParseEntryThoroughly = parseEntry

// Scan is the quick way to read an item.
func (i *Item) Scan(body []byte) bool { return i.scan(body) }
