package directory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

// executeMark writes or removes the marker beside a model that stays where it
// is.
func (d *Driver) executeMark(kind string, p params) error {
	o, err := observeMark(kind, p)
	switch {
	case err != nil || isDone(o):
		return err
	case isDiverged(o):
		return conflict(o)
	}
	parent, name := filepath.Split(p.marker())
	root, err := os.OpenRoot(parent)
	if err != nil {
		return err
	}
	defer root.Close()
	switch kind {
	case kindMark:
		err = placeMarker(root, name, p.Text)
	case kindUnmark:
		err = root.Remove(name)
	default:
		return noSuchKind(kind)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, artifact.Quote(p.marker()), err)
	}
	return fsop.SyncDir(parent)
}

// placeMarker writes the marker under a name of its own and renames it, so
// that the marker is whole whenever it is there.
func placeMarker(root *os.Root, name, text string) error {
	temp := "." + name + ".tmp"
	if err := root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeMarker(root, temp, text); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	return fsop.RenameNoReplace(filepath.Join(root.Name(), temp), filepath.Join(root.Name(), name))
}

// observeMark looks for the marker beside the model.
func observeMark(kind string, p params) (action.Observation, error) {
	text, err := readMarker(p.marker(), len(p.Text)+1)
	there, missing := saw(action.Done, "%s is there", artifact.Quote(p.marker())), saw(action.NotDone, "%s is not there", artifact.Quote(p.marker()))
	if kind == kindUnmark {
		there.Outcome, missing.Outcome = missing.Outcome, there.Outcome
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing, nil
	case err == nil && text == p.Text:
		return there, nil
	case err == nil || fault.KindOf(err) == fault.Incomplete:
		return saw(action.Diverged, "%s does not hold what this plan writes there", artifact.Quote(p.marker())), nil
	}
	return action.Observation{}, err
}

func readMarker(path string, limit int) (string, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, _, err := fsop.OpenRegular(root, filepath.Base(path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)))
	return string(data), err
}
