package evidence

// ParseEntryThoroughly is ParseEntry without its quick way.
var ParseEntryThoroughly = parseEntry
