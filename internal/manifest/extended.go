package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// maxExtended is how many extended attributes of a file are kept apart; the
// rest is kept under one digest.
const maxExtended = 32

// extend adds the extended attributes of the open file f. A file system
// without them, or one that does not show them, has none; one whose value is
// not for us has an empty value.
func extend(file *artifact.File, f *os.File) {
	if file.Attributes == nil {
		return
	}
	values, _ := fsop.Extended(f) // of an attribute that cannot be read the name stays
	extendWith(file, values)
}

func extendWith(file *artifact.File, values map[string][]byte) {
	if len(values) == 0 {
		return
	}
	rest, more := sha256.New(), 0
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if len(file.Attributes.Extended) < maxExtended {
			file.Attributes.Extended = append(file.Attributes.Extended, artifact.Extended{Name: name, Value: artifact.SHA256Of(value)})
			continue
		}
		more++
		rest.Write(binary.BigEndian.AppendUint32([]byte(name+"\x00"), uint32(len(value))))
		rest.Write(value)
	}
	if more > 0 {
		// Behind every other name, and none a file system can have.
		file.Attributes.Extended = append(file.Attributes.Extended, artifact.Extended{Name: fmt.Sprintf("~ %d more", more), Value: sum(rest)})
	}
}
