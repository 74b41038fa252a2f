//go:build !linux

package manifest

import (
	"io/fs"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

func attributes(fs.FileInfo) *artifact.Attributes { return nil }
