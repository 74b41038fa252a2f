package fsop

import "time"

// Attributes is what a file system keeps of a file beside its content.
type Attributes struct {
	ID       ID        `json:"identity"`
	Mode     string    `json:"mode"`
	UID      uint32    `json:"uid"`
	GID      uint32    `json:"gid"`
	Links    uint64    `json:"links"`
	Size     int64     `json:"size"`
	Accessed time.Time `json:"accessed"`
	Modified time.Time `json:"modified"`
	// Changed is set by the kernel alone: content, owner or mode changed.
	Changed time.Time `json:"changed"`
	// Born is when the file was made, where the file system knows.
	Born time.Time `json:"born,omitzero"`
	// Extended are the extended attributes, their values in base64; a value
	// longer than 64 KiB is left out.
	Extended map[string][]byte `json:"extended,omitempty"`
}
