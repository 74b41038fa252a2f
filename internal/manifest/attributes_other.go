//go:build !linux

package manifest

import (
	"io/fs"
	"os"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

func attributes(fs.FileInfo) *artifact.Attributes { return nil }

func extend(*artifact.File, *os.File) {}
