package collect

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Package is a package of the operating system as its own record has it.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Status  string `json:"status,omitempty"`
}

// SystemPackages reads what the package manager says is installed below root:
// that of Debian or that of Alpine. An RPM database is binary and only named.
func SystemPackages(root string) ([]Package, []string, error) {
	for _, source := range []struct {
		path                  string
		name, version, status string
	}{
		{"var/lib/dpkg/status", "Package: ", "Version: ", "Status: "},
		{"lib/apk/db/installed", "P:", "V:", "S:"},
	} {
		f, err := os.Open(filepath.Join(root, source.path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		found := paragraphs(io.LimitReader(f, maxPackages), source.name, source.version, source.status)
		return found, nil, f.Close()
	}
	for _, path := range []string{"var/lib/rpm", "usr/lib/sysimage/rpm"} {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			return nil, nil, errors.New("the packages are in an RPM database, which is not read")
		}
	}
	return nil, nil, errors.New("no record of a package manager was found")
}

// paragraphs reads records that are separated by empty lines.
func paragraphs(r io.Reader, name, version, status string) []Package {
	found := []Package{}
	var p Package
	end := func() {
		if p.Name != "" {
			found = append(found, p)
		}
		p = Package{}
	}
	eachLine(r, func(line string) bool {
		switch {
		case line == "":
			end()
		case strings.HasPrefix(line, name):
			p.Name = text([]byte(line[len(name):]))
		case strings.HasPrefix(line, version):
			p.Version = text([]byte(line[len(version):]))
		case strings.HasPrefix(line, status):
			p.Status = text([]byte(line[len(status):]))
		}
		return true
	})
	end()
	return found
}

// maxTextLine bounds the part of a line that is looked at, in bytes.
const maxTextLine = 64 << 10

// eachLine yields the lines of r, the beginning of very long ones.
func eachLine(r io.Reader, yield func(string) bool) {
	b := bufio.NewReaderSize(r, maxTextLine)
	for {
		part, err := b.ReadSlice('\n')
		line := strings.TrimSuffix(string(part), "\n")
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n') // the rest of a very long line
		}
		if (line != "" || err == nil) && !yield(line) || err != nil {
			return
		}
	}
}
