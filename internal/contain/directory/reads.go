package directory

import (
	"context"
	"io/fs"
	"os"
	"sync"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// largeFile is the size from which a file that was just read whole is not read
// again, in bytes. A smaller one costs nothing to read, and could be written
// within the tick of the file system's clock in which it was read.
const largeFile = 64 << 20

// reads remembers which large files of a copy were read whole by this process,
// and how they were then. Between making a copy and exchanging it with what is
// served nothing may change: a file with the same identity, size, and times of
// change is what was read. What was exchanged is read again where it is served,
// without asking here. A nil one remembers nothing.
type reads struct {
	mu    sync.Mutex
	files map[fsop.ID]readFile
}

type readFile struct {
	info   fs.FileInfo
	digest artifact.Digest
}

// hash is [fsop.HashFile] for files that may have been read before.
func (r *reads) hash(ctx context.Context, root *os.Root, path string) (artifact.Digest, int64, error) {
	f, info, err := fsop.OpenRegular(root, path)
	if err != nil {
		return artifact.Digest{}, 0, err
	}
	defer f.Close()
	id, err := fsop.IdentityOf(info)
	if r == nil || info.Size() < largeFile || err != nil {
		return fsop.HashFile(ctx, root, path)
	}
	if known, ok := r.of(id); ok && fsop.Unchanged(known.info, info) {
		return known.digest, info.Size(), nil
	}
	digest, size, err := fsop.Hash(ctx, f)
	if err != nil {
		return artifact.Digest{}, 0, err
	}
	after, err := f.Stat()
	if err != nil || !fsop.Unchanged(info, after) || size != after.Size() {
		return fsop.HashFile(ctx, root, path) // says what is wrong, if it still is
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[id] = readFile{info, digest}
	return digest, size, nil
}

func (r *reads) of(id fsop.ID) (readFile, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.files[id]
	return known, ok
}

// forget drops everything: what comes next is read.
func (r *reads) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.files)
}
