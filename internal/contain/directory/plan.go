package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// workName is the directory beside a model that work directories are in.
const workName = ".weightwarden"

// absent stands for no identity in what was observed.
const absent = "absent"

// Isolate plans to take the model out of serving, keeping it: its directory
// is exchanged with one that holds only a marker, or, with r.Mark, a marker is
// written beside it. A serving path that cannot be exchanged (a symbolic link,
// a mount point, a single file) is a [fault.Refused].
func (d *Driver) Isolate(ctx context.Context, r action.Request) (action.Draft, error) {
	if err := checkRequest(ctx, r); err != nil {
		return action.Draft{}, fault.New(fault.Invalid, "plan isolation: %w", err)
	}
	serving, text := r.Model.Path, markerText(r)
	if r.Mark {
		return d.mark(r, serving, text)
	}
	id, err := servingDirectory(serving, "use --mode mark: it leaves the files where they are")
	if err != nil {
		return action.Draft{}, err
	}
	if err := notIsolated(serving); err != nil {
		return action.Draft{}, err
	}
	work, err := d.work(r)
	if err != nil {
		return action.Draft{}, err
	}
	p := params{
		Serving: serving, Work: work, Displaced: id, Text: text,
		Files: []entry{{MarkerName, int64(len(text)), artifact.SHA256Of([]byte(text))}},
	}
	if p.Place, err = p.freePlace(ctx, "isolated-"+r.Model.ID); err != nil {
		return action.Draft{}, err
	}
	return action.Draft{
		Observed: observed(p),
		Steps: []action.Step{
			p.step(KindPrepare, p.Place, "make a directory that holds only "+MarkerName,
				artifact.Quote(p.Place)+" holds exactly "+MarkerName),
			p.step(kindExchange, serving, "exchange the model directory with it; the model stays, unchanged, at "+artifact.Quote(p.Place),
				fmt.Sprintf("%s holds exactly %s, and %s is the directory %s", artifact.Quote(serving), MarkerName, artifact.Quote(p.Place), id)),
		},
		Remarks: remarks(serving),
	}, nil
}

// Rollback plans to put the files of r.Source in the model's place: they are
// copied beside it, verified there, and exchanged with what is served now. A
// disk without room for the copy is a [fault.Incomplete].
func (d *Driver) Rollback(ctx context.Context, r action.Request) (action.Draft, error) {
	files, err := entries(r.Files)
	err = errors.Join(err, checkRequest(ctx, r), checkSource(r))
	if err != nil {
		return action.Draft{}, fault.New(fault.Invalid, "plan rollback: %w", err)
	}
	serving := r.Model.Path
	id, err := servingDirectory(serving, "serve the model from a directory of its own, below the mount or behind the link")
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return action.Draft{}, err
	}
	work, err := d.work(r)
	if err != nil {
		return action.Draft{}, err
	}
	p := params{Serving: serving, Work: work, Displaced: id, Files: files, Source: r.Source}
	if p.Place, err = p.freePlace(ctx, "rollback-"+listDigest(files).Hex()[:12]); err != nil {
		return action.Draft{}, err
	}
	if err := p.room(); err != nil {
		return action.Draft{}, err
	}
	exchange := p.step(kindExchange, serving, "exchange the model directory with the copy; what is there now stays, unchanged, at "+artifact.Quote(p.Place),
		fmt.Sprintf("%s holds exactly %s with their digests, and %s is the directory %s", artifact.Quote(serving), count(files), artifact.Quote(p.Place), shown(id)))
	if id.IsZero() {
		exchange.Destroys = false
		exchange.Summary = "put the copy at the serving path, where there is nothing now"
		exchange.Post = fmt.Sprintf("%s holds exactly %s with their digests", artifact.Quote(serving), count(files))
	}
	return action.Draft{
		Observed: observed(p),
		Steps: []action.Step{
			p.step(kindStage, p.Place, fmt.Sprintf("copy %s (%d bytes) from %s and verify the copy", count(files), total(files), artifact.Quote(r.Source)),
				fmt.Sprintf("%s holds exactly %s with their digests", artifact.Quote(p.Place), count(files))),
			exchange,
		},
		Remarks: remarks(serving),
	}, nil
}

func (d *Driver) mark(r action.Request, serving, text string) (action.Draft, error) {
	id, err := fsop.Identity(serving)
	if errors.Is(err, fs.ErrNotExist) {
		return action.Draft{}, noModel(serving)
	}
	if err != nil {
		return action.Draft{}, fmt.Errorf("look at %s: %w", artifact.Quote(serving), err)
	}
	// A marker does not depend on what is served: the same one is the same step.
	p := params{Serving: serving, Text: text}
	return action.Draft{
		Observed: observed(params{Serving: serving, Displaced: id}),
		Steps: []action.Step{
			p.step(kindMark, p.marker(), "write a marker beside the model, which stays as it is", artifact.Quote(p.marker())+" holds the marker of this incident"),
		},
		Remarks: []string{fmt.Sprintf("The model %s stays where it is and can still be served: marking stops nobody.", r.Model.ID)},
	}, nil
}

var inverses = map[string]struct{ kind, summary, post string }{
	KindPrepare:  {kindDiscard, "remove the directory again, if it is still as it was made", "there is nothing at %s"},
	kindStage:    {kindDiscard, "remove the copy again, if it is still as it was made", "there is nothing at %s"},
	kindExchange: {kindBack, "exchange back, if both are still as they were left", "%s is what it was before the exchange"},
	kindMark:     {kindUnmark, "remove the marker, if it is still as it was written", "there is nothing at %s"},
}

// step makes a step with its inverse. The kind is its id too: no plan of this
// driver has two of one kind.
func (p params) step(kind, target, summary, post string) action.Step {
	inv := inverses[kind]
	encoded := p.encode()
	return action.Step{
		ID: kind, Driver: Name, Kind: kind, Target: target, Summary: summary, Post: post,
		Destroys: kind == kindExchange, Params: encoded,
		Inverse: &action.Step{
			ID: inv.kind, Driver: Name, Kind: inv.kind, Target: target, Summary: inv.summary,
			Post: fmt.Sprintf(inv.post, artifact.Quote(target)), Params: encoded,
		},
	}
}

func observed(p params) map[string]string {
	o := map[string]string{"serving_path": p.Serving, "serving_identity": absent}
	if !p.Displaced.IsZero() {
		o["serving_identity"] = p.Displaced.String()
	}
	if p.Place != "" {
		o["place"] = p.Place
	}
	if p.Source != "" {
		o["source"], o["files"] = p.Source, listDigest(p.Files).String()
	}
	return o
}

func remarks(serving string) []string {
	return []string{fmt.Sprintf("Processes that have files of %s open keep serving them from memory until they are restarted; this plan restarts nothing.", artifact.Quote(serving))}
}

func listDigest(files []entry) artifact.Digest {
	data, err := json.Marshal(files)
	if err != nil {
		panic("a list of files is always encodable: " + err.Error()) // strings and numbers
	}
	return artifact.SHA256Of(data)
}

// markerText names nothing that is found out only later: every plan of the
// incident writes the same marker, and so finds that of the one before.
func markerText(r action.Request) string {
	return fmt.Sprintf(`COMPROMISED: do not load, serve, copy or delete this model.

incident: %s
model:    %s

It was taken out of service, or marked, because it is evidence.
Ask the commander of the incident before you touch anything here.
`, r.Incident, r.Model.ID)
}

func checkRequest(ctx context.Context, r action.Request) error {
	return errors.Join(ctx.Err(), artifact.CheckID(r.Incident), artifact.CheckID(r.Model.ID), checkAbsolute(r.Model.Path))
}

func checkSource(r action.Request) error {
	if err := checkAbsolute(r.Source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if below(r.Source, r.Model.Path) || below(r.Model.Path, r.Source) {
		return fmt.Errorf("source %s and serving path %s contain one another", artifact.Quote(r.Source), artifact.Quote(r.Model.Path))
	}
	info, err := os.Stat(r.Source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("source %s: is not a directory", artifact.Quote(r.Source))
	}
	return nil
}

// below reports whether path is dir or below it, by name.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// servingDirectory returns the identity of the directory at path, which must
// be one whose name can be exchanged.
func servingDirectory(path, hint string) (fsop.ID, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fsop.ID{}, noModel(path)
	case err != nil:
		return fsop.ID{}, fmt.Errorf("look at %s: %w", artifact.Quote(path), err)
	case !info.IsDir():
		return fsop.ID{}, fault.New(fault.Refused, "%s is a %s, not a directory: it cannot be exchanged with one",
			artifact.Quote(path), artifact.KindOf(info.Mode())).WithHint("%s", hint)
	}
	mounted, err := fsop.IsMountPoint(path)
	switch {
	case err != nil:
		return fsop.ID{}, fmt.Errorf("look at %s: %w", artifact.Quote(path), err)
	case mounted:
		return fsop.ID{}, fault.New(fault.Refused, "%s is a mount point: it cannot be renamed", artifact.Quote(path)).WithHint("%s", hint)
	}
	return fsop.IdentityOf(info)
}

func noModel(path string) error {
	return fault.New(fault.NotFound, "there is nothing at %s", artifact.Quote(path)).
		WithHint("check the model's path in the configuration; roll back if the model was deleted")
}

// notIsolated fails when the directory holds nothing but a marker.
func notIsolated(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	if names, _ := d.Readdirnames(2); len(names) == 1 && names[0] == MarkerName {
		return fault.New(fault.Conflict, "%s holds only %s: it was isolated before", artifact.Quote(path), MarkerName).
			WithHint("read %s there; roll back when a verified version is at hand", MarkerName)
	}
	return nil
}

// work returns the work directory of an incident, which need not exist yet.
func (d *Driver) work(r action.Request) (string, error) {
	parent := filepath.Dir(r.Model.Path)
	dir := d.quarantine(r.Model.ID)
	if dir == "" {
		return filepath.Join(parent, workName, r.Incident), nil
	}
	if err := checkAbsolute(dir); err != nil {
		return "", fault.New(fault.Invalid, "quarantine: %w", err)
	}
	if below(dir, r.Model.Path) {
		return "", fault.New(fault.Invalid, "quarantine %s is inside the model", artifact.Quote(dir))
	}
	same, err := fsop.SameFileSystem(parent, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.New(fault.NotFound, "quarantine: %w", err).WithHint("make the directories, on the model's file system and with mode 0700")
	case err != nil:
		return "", fmt.Errorf("quarantine: %w", err)
	case !same:
		return "", fault.New(fault.Refused, "quarantine %s is not on the file system of %s: the move would not be atomic", artifact.Quote(dir), artifact.Quote(r.Model.Path)).
			WithHint("choose a quarantine directory on the model's file system, or leave the setting out to have one beside the model")
	}
	return filepath.Join(dir, r.Incident), nil
}

// freePlace returns the first of name, name-2, name-3 … in the work directory
// that is free, or that holds what an earlier try of the same plan made.
func (p params) freePlace(ctx context.Context, name string) (string, error) {
	p.Place = filepath.Join(p.Work, name)
	for n := 2; ; n++ {
		free, err := p.free(ctx)
		if err != nil || free {
			return p.Place, err
		}
		p.Place = filepath.Join(p.Work, fmt.Sprintf("%s-%d", name, n))
	}
}

// free reports whether the plan can have its place. The name of a copy tells
// its content; that of a marker does not, so it is read.
func (p params) free(ctx context.Context) (bool, error) {
	s, err := p.look()
	switch {
	case err != nil:
		return false, err
	case !s.newcomer.IsZero() && s.newcomer == s.serving, !s.aside.IsZero():
		return false, nil // of a plan that was carried out
	case s.place.IsZero():
		return true, nil
	case s.place != s.newcomer || p.Source != "":
		return s.place == s.newcomer, nil
	}
	diff, err := differs(ctx, nil, p.Place, s.place, p.Files)
	return diff == "", err
}

// room fails when the copy does not fit. A finished copy needs no more room.
func (p params) room() error {
	if s, err := p.look(); err != nil || !s.place.IsZero() {
		return err
	}
	free, err := fsop.FreeSpace(filepath.Dir(p.Serving))
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("ask for free space: %w", err)
	case free < total(p.Files):
		return fault.New(fault.Incomplete, "the file system of %s has room for %d bytes; the copy needs %d", artifact.Quote(p.Serving), free, total(p.Files)).
			WithHint("free space there; do not delete what is in %s, it is evidence", artifact.Quote(p.Work))
	}
	return nil
}

// total returns the bytes of all files, or the largest number when there is
// no such number.
func total(files []entry) int64 {
	var sum int64
	for _, f := range files {
		if sum += f.Size; sum < 0 {
			return 1<<63 - 1
		}
	}
	return sum
}
