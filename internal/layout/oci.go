package layout

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// An OCI image layout (OCI image-spec 1.1, image-layout.md): index.json leads
// to manifests, these to configuration and layers, all of them blobs named by
// their digests.
const (
	ociLayoutFile = "oci-layout"
	ociIndexFile  = "index.json"
	ociVersion    = "1.0.0"
	// maxDocument is what registries accept of a manifest.
	maxDocument = 4 << 20
	// maxDescriptors bounds how much one layout may list.
	maxDescriptors = 1 << 16
)

// The media types that are documents leading on to more.
var (
	indexTypes = []string{
		"application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
	}
	manifestTypes = []string{
		"application/vnd.oci.image.manifest.v1+json",
		"application/vnd.oci.artifact.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json",
	}
)

// contentTypes begin the media types whose meaning is known: images, ModelPack,
// KitOps, Docker models, and the signatures and statements of cosign.
var contentTypes = []string{
	"application/vnd.oci.image.", "application/vnd.oci.empty.", "application/vnd.docker.image.", "application/vnd.docker.container.image.",
	"application/vnd.docker.ai.", "application/vnd.cncf.model.", "application/vnd.cnai.model.", "application/vnd.kitops.modelkit.",
	"application/vnd.dev.cosign.", "application/vnd.dev.sigstore.bundle.", "application/vnd.dsse.envelope.", "application/vnd.in-toto+json",
}

// titleKeys are the annotations that name the file a layer becomes.
var titleKeys = []string{"org.opencontainers.image.title", "org.cncf.model.filepath", "org.cnai.model.filepath"}

// descriptor is a blob as a document names it.
type descriptor struct {
	mediaType, algorithm, digest string
	size                         int64
	title                        string
	// role is index, manifest, config, layer or subject.
	role string
	from string
}

func (d descriptor) path() string { return blobsDir + "/" + d.algorithm + "/" + d.digest }

// ociWalk follows the documents from the index.
type ociWalk struct {
	*verification
	root    *os.Root
	pending []descriptor
	seen    map[string]bool // paths that something leads to
	counted int
}

func (v *verification) oci(ctx context.Context) error {
	return v.opened(func(root *os.Root) error {
		w := &ociWalk{verification: v, root: root, seen: map[string]bool{ociLayoutFile: true, ociIndexFile: true}}
		w.version()
		w.document(ociIndexFile, "", "index")
		for len(w.pending) > 0 {
			d := w.pending[0]
			w.pending = w.pending[1:]
			if err := w.descriptor(ctx, d); err != nil {
				return err
			}
		}
		return w.rest(ctx)
	})
}

func (w *ociWalk) version() {
	data, err := readSmall(w.root, ociLayoutFile, 4<<10)
	if err != nil {
		w.problem(Unverified, "unreadable", ociLayoutFile, "it cannot be read: %v", err)
		return
	}
	o, err := parseObject(data)
	if err == nil && o.text("imageLayoutVersion") != ociVersion {
		err = fmt.Errorf("its version %.40q is not known", o.text("imageLayoutVersion"))
	}
	if err != nil {
		w.problem(Unverified, "layout_version", ociLayoutFile, "this may be no OCI image layout: %v", err)
	}
}

// document reads a list of descriptors. want is its digest in hex, "" for the
// index, which nothing names.
func (w *ociWalk) document(name, want, role string) {
	data, err := readSmall(w.root, name, maxDocument)
	switch sum := sha256.Sum256(data); {
	case errors.Is(err, fs.ErrNotExist):
		w.problem(Contradiction, "document_missing", name, "the list of what the layout holds is not there")
		return
	case err == nil && want != "" && hex.EncodeToString(sum[:]) != want:
		err = errMoved
	}
	var o object
	if err == nil {
		o, err = parseObject(data)
	}
	if err == nil {
		err = w.follow(o, name, role)
	}
	if err != nil {
		w.problem(Unverified, "document_unread", name, "what it lists is not known: %v", err)
	}
}

// listed is a key of a document, and what the blobs are that stand there.
type listed struct{ key, role string }

// follow puts by what a document lists.
func (w *ociWalk) follow(o object, name, role string) error {
	lists := []listed{{"manifests", "manifest"}}
	if role == "manifest" {
		lists = []listed{{"config", "config"}, {"layers", "layer"}, {"blobs", "layer"}, {"subject", "subject"}}
	}
	var found []descriptor
	for _, list := range lists {
		members, err := o.objects(list.key)
		if err != nil {
			return err
		}
		for _, m := range members {
			d, err := parseDescriptor(m)
			if err != nil {
				return fmt.Errorf("%s: %w", list.key, err)
			}
			d.role, d.from = list.role, name
			found = append(found, d)
		}
	}
	if w.counted += len(found); w.counted > maxDescriptors {
		return fmt.Errorf("more than %d blobs are listed: %w", maxDescriptors, errMalformed)
	}
	w.titles(found, name)
	w.pending = append(w.pending, found...)
	return nil
}

func parseDescriptor(o object) (d descriptor, err error) {
	d.mediaType = o.text("mediaType")
	algorithm, digest, _ := strings.Cut(o.text("digest"), ":")
	lengths := map[string]int{"sha256": 64, "sha512": 128}
	if n, known := lengths[algorithm]; !known || !isHex(digest, n) {
		return d, fmt.Errorf("digest %.160q: %w", o.text("digest"), errMalformed)
	}
	d.algorithm, d.digest = algorithm, digest
	number, ok := o["size"].(json.Number)
	if d.size, err = number.Int64(); !ok || err != nil || d.size < 0 {
		return d, fmt.Errorf("size of %s: %w", digest, errMalformed)
	}
	annotations, _ := o["annotations"].(object)
	for _, key := range titleKeys {
		if d.title == "" {
			d.title = annotations.text(key)
		}
	}
	return d, nil
}

// titles wants names that stay inside the directory where the model is
// unpacked, each once.
func (w *ociWalk) titles(found []descriptor, name string) {
	seen := map[string]bool{}
	for _, d := range found {
		if d.title == "" || d.role != "layer" {
			continue
		}
		if err := artifact.CheckPath(strings.TrimSuffix(d.title, "/")); err != nil {
			w.problem(Contradiction, "title_leaves", name, "a layer is to be unpacked outside of the model: %v", err)
		}
		if seen[d.title] {
			w.problem(Contradiction, "title_twice", name, "two layers are to be unpacked as %.80q", d.title)
		}
		seen[d.title] = true
	}
}

// descriptor verifies one blob and follows it when it is a document.
func (w *ociWalk) descriptor(ctx context.Context, d descriptor) error {
	w.mediaType(d)
	if d.role == "config" || d.role == "layer" {
		w.out.Contents = append(w.out.Contents, Content{d.title, d.mediaType, d.algorithm + ":" + d.digest, d.size})
	}
	f, ok := w.file(d.path())
	switch {
	case w.seen[d.path()]:
		if ok && f.Size != d.size {
			w.wrongSize(d, f)
		}
		return nil
	case !ok && d.role == "subject":
		w.problem(Note, "subject_missing", d.from, "what it refers to is not in this layout: %s", d.digest)
		return nil
	}
	w.seen[d.path()] = true
	if !ok {
		w.out.Mismatches = append(w.out.Mismatches, Mismatch{
			File: d.path(), Names: titles(d), Kind: Missing, Algorithm: d.algorithm, ExpectedHash: d.digest,
			Reason: "listed in " + d.from + ", and not there",
		})
		return nil
	}
	if f.Size != d.size && f.Kind == artifact.Regular {
		w.wrongSize(d, f)
	}
	before := w.out.Verified
	if err := w.named(ctx, f, titles(d)); err != nil {
		return err
	}
	if w.out.Verified > before && d.algorithm == "sha256" {
		w.descend(d)
	}
	return nil
}

func (w *ociWalk) descend(d descriptor) {
	switch {
	case slices.Contains(indexTypes, d.mediaType):
		w.document(d.path(), d.digest, "index")
	case slices.Contains(manifestTypes, d.mediaType):
		w.document(d.path(), d.digest, "manifest")
	}
}

func (w *ociWalk) wrongSize(d descriptor, f artifact.File) {
	w.problem(Contradiction, "size", d.path(), "%s says that it has %d bytes, and it has %d", d.from, d.size, f.Size)
}

func titles(d descriptor) []string {
	if d.title == "" {
		return nil
	}
	return []string{d.title}
}

// mediaType reports types that this program does not know: it cannot tell
// whether such a blob leads on to more.
func (w *ociWalk) mediaType(d descriptor) {
	document := slices.Contains(indexTypes, d.mediaType) || slices.Contains(manifestTypes, d.mediaType)
	known := slices.ContainsFunc(contentTypes, func(p string) bool { return strings.HasPrefix(d.mediaType, p) })
	if d.role == "manifest" && !document || !document && !known {
		w.problem(Unverified, "media_type", d.from, "%s has the media type %.120q, which is not known", d.digest, d.mediaType)
	}
}

// named compares a blob with its name.
func (w *ociWalk) named(ctx context.Context, f artifact.File, names []string) error {
	algorithm, digest := path.Base(path.Dir(f.Path)), path.Base(f.Path)
	switch {
	case f.Kind != artifact.Regular:
		w.problem(Contradiction, "blob_not_file", f.Path, "a blob must be a file, and this is a %s", f.Kind)
		return nil
	case f.Digest.IsZero():
		return nil // the manifest says why it could not be read
	}
	actual := f.Digest.Hex()
	if algorithm == "sha512" {
		var err error
		if actual, err = hashAs(ctx, w.root, f, sha512.New()); err != nil {
			return w.unread(ctx, f, err)
		}
	}
	w.content(Mismatch{File: f.Path, Names: names, Algorithm: algorithm, ExpectedHash: digest, ActualHash: actual})
	return nil
}

// rest goes through what nothing leads to.
func (w *ociWalk) rest(ctx context.Context) error {
	for _, f := range w.order {
		parts := strings.Split(f.Path, "/")
		blob := len(parts) == 3 && parts[0] == blobsDir &&
			(parts[1] == "sha256" && isHex(parts[2], 64) || parts[1] == "sha512" && isHex(parts[2], 128))
		switch {
		case w.seen[f.Path], f.Kind == artifact.Directory && under(f.Path, blobsDir):
		case signature(f.Path) && f.Kind == artifact.Regular:
			w.problem(Note, "signature_file", f.Path, "a signature that was put beside the layout")
		case blob:
			w.problem(Note, "unreferenced_blob", f.Path, "nothing in the layout leads to this blob")
			if err := w.named(ctx, f, nil); err != nil {
				return err
			}
		case under(f.Path, blobsDir):
			w.problem(Unverified, "blob_name", f.Path, "the name of this blob is no digest, so nothing says what it should contain")
		default:
			w.problem(Unverified, "stray_path", f.Path, "it belongs to no part of an OCI image layout")
		}
	}
	return nil
}
