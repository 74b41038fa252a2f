package layout

import (
	"context"
	"crypto/sha1" //nolint:gosec // the hub names small files by git's SHA-1; what that is worth is said in the design
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// maxRef is more than the name of a commit and a newline take.
const maxRef = 128

// hub verifies blobs, links and refs of a hub cache.
func (v *verification) hub(ctx context.Context) error {
	return v.opened(func(root *os.Root) error {
		names := v.links()
		for _, f := range v.order {
			var err error
			switch {
			case under(f.Path, blobsDir):
				err = v.blob(ctx, root, f, names[f.Path])
			case under(f.Path, snapshotsDir):
				v.snapshotFile(f)
			case under(f.Path, refsDir):
				v.ref(root, f)
			default:
				v.problem(Unverified, "stray_path", f.Path, "it belongs to no part of a hub cache")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// links returns for each blob the names in snapshots that lead to it, and
// judges the links.
func (v *verification) links() map[string][]string {
	names := map[string][]string{}
	missing := map[string][]string{}
	for _, f := range v.order {
		if f.Kind != artifact.Symlink || !under(f.Path, snapshotsDir) {
			continue
		}
		blob, ok := blobOf(f)
		_, there := v.file(blob)
		switch {
		case !ok:
			v.problem(Contradiction, "link_leaves", f.Path, "the link leads to %s, which is no blob of this repository", artifact.Quote(f.Target))
		case there:
			names[blob] = append(names[blob], f.Path)
		default:
			missing[blob] = append(missing[blob], f.Path)
		}
	}
	for blob, links := range missing {
		algorithm, _ := blobHash(path.Base(blob))
		v.out.Mismatches = append(v.out.Mismatches, Mismatch{
			File: blob, Names: links, Kind: Missing, Algorithm: algorithm, ExpectedHash: expected(blob, algorithm),
			Reason: "a link of the snapshot leads to this blob, and it is not there",
		})
	}
	return names
}

func expected(blob, algorithm string) string {
	if algorithm == "" {
		return ""
	}
	return path.Base(blob)
}

const gitSHA1 = "git-sha1"

// blobHash says which hash a blob's name is: SHA-256 for large files, git's
// own name of the content for the others.
func blobHash(name string) (algorithm string, ok bool) {
	switch {
	case isHex(name, 64):
		return "sha256", true
	case isHex(name, 40):
		return gitSHA1, true
	}
	return "", false
}

func (v *verification) blob(ctx context.Context, root *os.Root, f artifact.File, names []string) error {
	base := path.Base(f.Path)
	algorithm, ok := blobHash(base)
	switch {
	case f.Kind == artifact.Directory && f.Path == blobsDir:
		return nil // empty
	case f.Kind != artifact.Regular:
		v.problem(Contradiction, "blob_not_file", f.Path, "a blob must be a file, and this is a %s", f.Kind)
		return nil
	case strings.HasSuffix(base, ".incomplete") && len(names) == 0:
		v.problem(Note, "incomplete_download", f.Path, "a download that was not finished; nothing leads to it")
		return nil
	case !ok || path.Dir(f.Path) != blobsDir:
		v.problem(Unverified, "blob_name", f.Path, "the name of this blob is no hash, so nothing says what it should contain")
		return nil
	case f.Digest.IsZero():
		return nil // the manifest says why it could not be read
	}
	actual := f.Digest.Hex()
	if algorithm == gitSHA1 {
		var err error
		if actual, err = gitName(ctx, root, f); err != nil {
			return v.unread(ctx, f, err)
		}
	}
	v.content(Mismatch{File: f.Path, Names: names, Algorithm: algorithm, ExpectedHash: base, ActualHash: actual})
	return nil
}

// gitName is the name that git gives to the content of a file.
func gitName(ctx context.Context, root *os.Root, f artifact.File) (string, error) {
	h := sha1.New() //nolint:gosec // as above
	h.Write([]byte("blob " + strconv.FormatInt(f.Size, 10) + "\x00"))
	return hashAs(ctx, root, f, h)
}

func (v *verification) unread(ctx context.Context, f artifact.File, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	kind := "unreadable"
	if errors.Is(err, errMoved) {
		kind = "unstable"
	}
	v.problem(Unverified, kind, f.Path, "the content cannot be compared with its name: %v", err)
	return nil
}

// snapshotFile judges what is in a snapshot and is no link to a blob.
func (v *verification) snapshotFile(f artifact.File) {
	parts := strings.SplitN(f.Path, "/", 3)
	switch {
	case len(parts) < 2: // an empty snapshots directory
	case !isHex(parts[1], 40):
		v.problem(Contradiction, "snapshot_name", f.Path, "snapshots are named by commits, and this is none")
	case f.Kind == artifact.Symlink: // judged with the links
	case f.Kind == artifact.Regular && len(parts) == 3 && signature(parts[2]):
		v.problem(Note, "signature_file", f.Path, "a signature that was put beside the links")
	case f.Kind == artifact.Directory:
		v.problem(Unverified, "stray_path", f.Path, "an empty directory, which no download makes")
	default:
		v.problem(Unverified, "unnamed_content", f.Path, "a %s instead of a link to a blob, so nothing says what it should contain", f.Kind)
	}
}

// signature reports whether signatures are looked for at this path.
func signature(name string) bool {
	return name == "model.sig" || under(name, ".signatures")
}

// ref wants the name of a commit that is there.
func (v *verification) ref(root *os.Root, f artifact.File) {
	if f.Path == refsDir && f.Kind == artifact.Directory {
		return
	}
	data, err := readSmall(root, f.Path, maxRef)
	if err != nil {
		v.problem(Unverified, "ref_unreadable", f.Path, "the ref cannot be read: %v", err)
		return
	}
	commit := strings.TrimSpace(string(data))
	if !isHex(commit, 40) {
		v.problem(Contradiction, "ref_invalid", f.Path, "the ref does not hold the name of a commit: %.60q", commit)
		return
	}
	info, err := root.Lstat(snapshotsDir + "/" + commit)
	if err != nil || !info.IsDir() {
		v.problem(Contradiction, "ref_missing", f.Path, "the ref names the commit %s, of which there is no snapshot", commit)
	}
}
