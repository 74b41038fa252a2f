package directory

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
)

var (
	oldModel = map[string]string{"model.bin": "tampered weights", "sub/config.json": "{}"}
	newModel = map[string]string{"model.bin": "good weights", "sub/deep/config.json": `{"a":1}`, "vocab.txt": ""}
)

// store is a small model store: models/m is served, archive/m-1 is good.
type store struct {
	dir     string
	request action.Request
}

func newStore(t testing.TB) store {
	t.Helper()
	dir := t.TempDir()
	s := store{dir: dir, request: action.Request{
		Incident: "INC-1", Model: artifact.Model{ID: "m", Path: filepath.Join(dir, "models", "m")},
		Source: filepath.Join(dir, "archive", "m-1"),
	}}
	write(t, s.request.Model.Path, oldModel)
	write(t, s.request.Source, newModel)
	for _, name := range slices.Sorted(maps.Keys(newModel)) {
		text := newModel[name]
		s.request.Files = append(s.request.Files, artifact.File{
			Path: name, Kind: artifact.Regular, Size: int64(len(text)), Digest: artifact.SHA256Of([]byte(text)),
		})
	}
	return s
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// tree reads what is below dir; nil when it does not exist.
func tree(dir string) map[string]string {
	var files map[string]string
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if files == nil {
			files = map[string]string{}
		}
		files[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	})
	return files
}

func (s store) marker() map[string]string {
	return map[string]string{MarkerName: markerText(s.request)}
}

func (s store) serves(t testing.TB, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, tree(s.request.Model.Path)); diff != "" {
		t.Errorf("the serving path (-want +got):\n%s", diff)
	}
}

func plan(t testing.TB, draft action.Draft, err error) []action.Step {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return draft.Steps
}

func observe(t testing.TB, d *Driver, s action.Step, want action.Outcome) {
	t.Helper()
	o, err := d.Observe(t.Context(), s)
	if err != nil || o.Outcome != want || o.Detail == "" {
		t.Fatalf("observe %s: %+v, %v; want %s", s.ID, o, err, want)
	}
}

// run executes steps twice each: the second time must find nothing to do.
func run(t testing.TB, d *Driver, steps ...action.Step) {
	t.Helper()
	for _, s := range steps {
		observe(t, d, s, action.NotDone)
		for range 2 {
			if err := d.Execute(t.Context(), s); err != nil {
				t.Fatalf("execute %s: %v", s.ID, err)
			}
			observe(t, d, s, action.Done)
		}
	}
}

func undo(t testing.TB, d *Driver, steps []action.Step) {
	t.Helper()
	for _, s := range slices.Backward(steps) {
		run(t, d, *s.Inverse)
	}
}

// drivers are the ways an exchange happens: by the kernel, and in steps.
func drivers() map[string]*Driver {
	stepwise := New(nil)
	stepwise.exchange = func(_, _ string) error { return errors.ErrUnsupported }
	return map[string]*Driver{"exchange": New(nil), "renames": stepwise}
}

func TestIsolateAndUndo(t *testing.T) {
	for name, d := range drivers() {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			suspect, err := fsop.Identity(s.request.Model.Path)
			if err != nil {
				t.Fatal(err)
			}
			draft, err := d.Isolate(t.Context(), s.request)
			steps := plan(t, draft, err)
			run(t, d, steps...)
			s.serves(t, s.marker())
			place := filepath.Join(s.dir, "models", ".weightwarden", "INC-1", "isolated-m")
			if id, err := fsop.Identity(place); id != suspect || err != nil {
				t.Errorf("the quarantine holds %v, %v; want %v", id, err, suspect)
			}
			if info, err := os.Stat(filepath.Dir(place)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("work directory: %v, %v", info.Mode(), err)
			}
			observe(t, d, steps[0], action.Done) // consumed, but done
			if _, err := d.Isolate(t.Context(), s.request); fault.KindOf(err) != fault.Conflict {
				t.Errorf("isolating again: %v", err)
			}
			undo(t, d, steps)
			s.serves(t, oldModel)
		})
	}
}

func TestRollbackAndUndo(t *testing.T) {
	for name, d := range drivers() {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			draft, err := d.Rollback(t.Context(), s.request)
			steps := plan(t, draft, err)
			run(t, d, steps...)
			s.serves(t, newModel)
			undo(t, d, steps)
			s.serves(t, oldModel)
		})
	}
}

func TestRollbackAfterIsolation(t *testing.T) {
	d, s := New(nil), newStore(t)
	draft, err := d.Isolate(t.Context(), s.request)
	isolate := plan(t, draft, err)
	run(t, d, isolate...)
	draft, err = d.Rollback(t.Context(), s.request)
	rollback := plan(t, draft, err)
	run(t, d, rollback...)
	s.serves(t, newModel)
	undo(t, d, rollback)
	s.serves(t, s.marker())
	undo(t, d, isolate)
	s.serves(t, oldModel)
}

func TestRollbackToNothing(t *testing.T) {
	d, s := New(nil), newStore(t)
	if err := os.RemoveAll(s.request.Model.Path); err != nil {
		t.Fatal(err)
	}
	draft, err := d.Rollback(t.Context(), s.request)
	steps := plan(t, draft, err)
	if steps[1].Destroys {
		t.Error("nothing is displaced, but the step destroys")
	}
	run(t, d, steps...)
	s.serves(t, newModel)

	// The same version again, after somebody tampered with it: another place.
	write(t, s.request.Model.Path, oldModel)
	draft, err = d.Rollback(t.Context(), s.request)
	again := plan(t, draft, err)
	run(t, d, again...)
	s.serves(t, newModel)
	undo(t, d, again)
	for name := range oldModel {
		if newModel[name] == "" {
			_ = os.Remove(filepath.Join(s.request.Model.Path, name))
		}
	}
	write(t, s.request.Model.Path, newModel)
	undo(t, d, steps)
	s.serves(t, nil)
}

func TestMarkAndUndo(t *testing.T) {
	d, s := New(nil), newStore(t)
	s.request.Mark = true
	draft, err := d.Isolate(t.Context(), s.request)
	steps := plan(t, draft, err)
	run(t, d, steps...)
	s.serves(t, oldModel)
	got, err := os.ReadFile(s.request.Model.Path + ".COMPROMISED.txt")
	if err != nil || string(got) != markerText(s.request) {
		t.Errorf("marker %q, %v", got, err)
	}
	undo(t, d, steps)
	run(t, d, steps...)
	write(t, filepath.Dir(s.request.Model.Path), map[string]string{"m.COMPROMISED.txt": "changed"})
	observe(t, d, *steps[0].Inverse, action.Diverged)
	if err := d.Execute(t.Context(), *steps[0].Inverse); fault.KindOf(err) != fault.Conflict {
		t.Errorf("removing a changed marker: %v", err)
	}
}

func TestPlanIsAPureFunction(t *testing.T) {
	d, s := New(nil), newStore(t)
	for name, planner := range map[string]func(context.Context, action.Request) (action.Draft, error){"isolate": d.Isolate, "rollback": d.Rollback} {
		var seen []string
		for range 2 {
			draft, err := planner(t.Context(), s.request)
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(action.Plan{Observed: draft.Observed, Steps: draft.Steps, Remarks: draft.Remarks})
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, string(data))
			s.request.Files = append(s.request.Files[1:], s.request.Files[0]) // the order given is not part of it
		}
		if diff := cmp.Diff(seen[0], seen[1]); diff != "" {
			t.Errorf("%s, planned twice:\n%s", name, diff)
		}
		if strings.Contains(seen[0], `"params":null`) {
			t.Errorf("%s: a step without parameters", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(s.dir, "models", workName)); err == nil {
		t.Error("planning made a work directory")
	}
}

func TestRefusals(t *testing.T) {
	elsewhere := "/dev/shm"
	tests := []struct {
		name     string
		change   func(*testing.T, *store)
		rollback bool
		drive    *Driver
		kind     fault.Kind
		text     string
	}{
		{name: "nothing_there", change: func(t *testing.T, s *store) { _ = os.RemoveAll(s.request.Model.Path) }, kind: fault.NotFound, text: "there is nothing"},
		{name: "symlink", change: func(t *testing.T, s *store) { replace(t, s, os.Symlink) }, kind: fault.Refused, text: "is a symlink"},
		{name: "symlink_rollback", change: func(t *testing.T, s *store) { replace(t, s, os.Symlink) }, rollback: true, kind: fault.Refused, text: "is a symlink"},
		{name: "single_file", change: func(t *testing.T, s *store) {
			replace(t, s, func(_, p string) error { return os.WriteFile(p, nil, 0o600) })
		}, kind: fault.Refused, text: "is a file"},
		{name: "mount_point", change: func(_ *testing.T, s *store) { s.request.Model.Path = "/proc" }, kind: fault.Refused, text: "mount point"},
		{name: "incident_with_dots", change: func(_ *testing.T, s *store) { s.request.Incident = "../x" }, kind: fault.Invalid, text: "id"},
		{name: "model_with_newline", change: func(_ *testing.T, s *store) { s.request.Model.ID = "a\nb" }, kind: fault.Invalid, text: "id"},
		{name: "relative_path", change: func(_ *testing.T, s *store) { s.request.Model.Path = "models/m" }, kind: fault.Invalid, text: "must be absolute"},
		{name: "unclean_path", change: func(_ *testing.T, s *store) { s.request.Model.Path += "/." }, kind: fault.Invalid, text: "must be absolute"},
		{name: "quarantine_elsewhere", drive: New(func(string) string { return elsewhere }), kind: fault.Refused, text: "not on the file system"},
		{name: "quarantine_missing", drive: New(func(string) string { return "/nonexistent/q" }), kind: fault.NotFound, text: "quarantine"},
		{name: "file_outside", change: func(_ *testing.T, s *store) { s.request.Files[0].Path = "../x" }, rollback: true, kind: fault.Invalid, text: "../x"},
		{name: "file_twice", change: func(_ *testing.T, s *store) { s.request.Files[0] = s.request.Files[1] }, rollback: true, kind: fault.Invalid, text: "twice"},
		{name: "file_is_directory", change: func(_ *testing.T, s *store) { s.request.Files[0].Path = "sub" }, rollback: true, kind: fault.Invalid, text: "directory too"},
		{name: "symlink_in_list", change: func(_ *testing.T, s *store) { s.request.Files[0].Kind = artifact.Symlink }, rollback: true, kind: fault.Invalid, text: "only regular files"},
		{name: "no_digest", change: func(_ *testing.T, s *store) { s.request.Files[0].Digest = artifact.Digest{} }, rollback: true, kind: fault.Invalid, text: "SHA-256"},
		{name: "no_files", change: func(_ *testing.T, s *store) { s.request.Files = nil }, rollback: true, kind: fault.Invalid, text: "no files"},
		{name: "source_in_model", change: func(_ *testing.T, s *store) { s.request.Source = s.request.Model.Path + "/sub" }, rollback: true, kind: fault.Invalid, text: "contain one another"},
		{name: "no_room", change: func(_ *testing.T, s *store) { s.request.Files[0].Size = 1 << 62 }, rollback: true, kind: fault.Incomplete, text: "has room for"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, s := New(nil), newStore(t)
			if tt.drive != nil {
				d = tt.drive
				if same, err := fsop.SameFileSystem(s.dir, elsewhere); err != nil || same {
					t.Skip("no second file system here")
				}
			}
			if tt.change != nil {
				tt.change(t, &s)
			}
			planner := d.Isolate
			if tt.rollback {
				planner = d.Rollback
			}
			_, err := planner(t.Context(), s.request)
			if fault.KindOf(err) != tt.kind || err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v (%v), want %v with %q", err, fault.KindOf(err), tt.kind, tt.text)
			}
		})
	}
}

func replace(t *testing.T, s *store, put func(a, b string) error) {
	t.Helper()
	moved := s.request.Model.Path + ".moved"
	if err := errors.Join(os.Rename(s.request.Model.Path, moved), put(moved, s.request.Model.Path)); err != nil {
		t.Fatal(err)
	}
}

func TestQuarantineOfTheOperator(t *testing.T) {
	s := newStore(t)
	q := filepath.Join(s.dir, "quarantine")
	if err := os.Mkdir(q, 0o755); err != nil {
		t.Fatal(err)
	}
	d := New(func(string) string { return q })
	draft, err := d.Isolate(t.Context(), s.request)
	run(t, d, plan(t, draft, err)...)
	if diff := cmp.Diff(oldModel, tree(filepath.Join(q, "INC-1", "isolated-m"))); diff != "" {
		t.Error(diff)
	}
}

// TestInterference changes something between two steps: nothing of it may be
// overwritten, and nothing unverified may come into service.
func TestInterference(t *testing.T) {
	place := func(s store, steps []action.Step) string { return steps[0].Target }
	tests := []struct {
		name     string
		rollback bool
		done     int // steps executed before
		change   func(s store, steps []action.Step) error
		step     func(steps []action.Step) action.Step
		serves   map[string]string
	}{
		{
			name: "stage_tampered", rollback: true, done: 1,
			change: func(s store, st []action.Step) error {
				return os.WriteFile(place(s, st)+"/model.bin", []byte("evil weights"), 0o600)
			},
			step: func(st []action.Step) action.Step { return st[1] }, serves: oldModel,
		},
		{
			name: "file_added_to_stage", rollback: true, done: 1,
			change: func(s store, st []action.Step) error { return os.WriteFile(place(s, st)+"/evil.py", nil, 0o600) },
			step:   func(st []action.Step) action.Step { return st[1] }, serves: oldModel,
		},
		{
			name: "stage_file_became_link", rollback: true, done: 1,
			change: func(s store, st []action.Step) error {
				f := place(s, st) + "/model.bin"
				return errors.Join(os.Remove(f), os.Symlink(s.request.Source+"/model.bin", f))
			},
			step: func(st []action.Step) action.Step { return st[1] }, serves: oldModel,
		},
		{
			name: "stage_replaced", rollback: true, done: 1,
			change: func(s store, st []action.Step) error {
				return errors.Join(os.Rename(place(s, st), place(s, st)+"x"), os.Mkdir(place(s, st), 0o755))
			},
			step: func(st []action.Step) action.Step { return st[1] }, serves: oldModel,
		},
		{
			name: "foreign_directory_where_the_stage_goes", rollback: true, done: 0,
			change: func(s store, st []action.Step) error { return os.MkdirAll(place(s, st), 0o700) },
			step:   func(st []action.Step) action.Step { return st[0] }, serves: oldModel,
		},
		{
			name: "model_replaced_before_isolation", done: 1,
			change: func(s store, _ []action.Step) error {
				p := s.request.Model.Path
				return errors.Join(os.Rename(p, p+".x"), os.Mkdir(p, 0o755), os.WriteFile(p+"/new", []byte("n"), 0o600))
			},
			step: func(st []action.Step) action.Step { return st[1] }, serves: map[string]string{"new": "n"},
		},
		{
			name: "marker_edited_before_undo", done: 2,
			change: func(s store, _ []action.Step) error {
				return os.WriteFile(s.request.Model.Path+"/"+MarkerName, []byte("fine"), 0o600)
			},
			step: func(st []action.Step) action.Step { return *st[1].Inverse }, serves: map[string]string{MarkerName: "fine"},
		},
		{
			name: "discard_of_what_serves", rollback: true, done: 2,
			change: func(store, []action.Step) error { return nil },
			step:   func(st []action.Step) action.Step { return *st[0].Inverse }, serves: newModel,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, s := New(nil), newStore(t)
			planner := d.Isolate
			if tt.rollback {
				planner = d.Rollback
			}
			draft, err := planner(t.Context(), s.request)
			steps := plan(t, draft, err)
			run(t, d, steps[:tt.done]...)
			if err := tt.change(s, steps); err != nil {
				t.Fatal(err)
			}
			if err := d.Execute(t.Context(), tt.step(steps)); fault.KindOf(err) != fault.Conflict {
				t.Errorf("got %v, want a conflict", err)
			}
			if o, err := d.Observe(t.Context(), tt.step(steps)); err != nil || o.Outcome == action.Done {
				t.Errorf("observed %+v, %v", o, err)
			}
			s.serves(t, tt.serves)
		})
	}
}

func TestSourceThatIsNotWhatWasVerified(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"altered": func(p string) error { return os.WriteFile(p, []byte("evil weights"), 0o600) },
		"longer":  func(p string) error { return os.WriteFile(p, []byte("good weights and more"), 0o600) },
		"missing": os.Remove,
		"link": func(p string) error {
			return errors.Join(os.Rename(p, p+".x"), os.Symlink(p+".x", p))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := New(nil), newStore(t)
			draft, err := d.Rollback(t.Context(), s.request)
			steps := plan(t, draft, err)
			if err := change(s.request.Source + "/model.bin"); err != nil {
				t.Fatal(err)
			}
			if err := d.Execute(t.Context(), steps[0]); err == nil {
				t.Error("the stage was made")
			}
			observe(t, d, steps[0], action.NotDone)
			if err := d.Execute(t.Context(), steps[1]); fault.KindOf(err) != fault.Conflict {
				t.Errorf("exchange without a stage: %v", err)
			}
			s.serves(t, oldModel)
		})
	}
}

func TestStepsFromElsewhereAreChecked(t *testing.T) {
	for name, s := range map[string]action.Step{
		"no_params":   {Kind: kindStage},
		"kind":        {Kind: "format-disk", Params: params{Serving: "/a/b", Work: "/a/w", Place: "/a/w/p", Files: []entry{{"f", 0, artifact.SHA256Of(nil)}}}.encode()},
		"place":       {Kind: kindDiscard, Params: params{Serving: "/a/b", Work: "/a/w", Place: "/etc/x", Files: []entry{{"f", 0, artifact.SHA256Of(nil)}}}.encode()},
		"extra_field": {Kind: kindMark, Params: json.RawMessage(`{"serving":"/a/b","more":1}`)},
	} {
		if _, err := New(nil).Observe(t.Context(), s); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: observed: %v", name, err)
		}
		if err := New(nil).Execute(t.Context(), s); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: executed: %v", name, err)
		}
	}
}

func TestOpenByFindsThisDirectory(t *testing.T) {
	proc := t.TempDir()
	model := "/srv/models/m"
	write(t, proc, map[string]string{
		"7/comm": "vllm\n", "7/maps": "", "8/comm": "map\x1b[2Jper\n",
		"8/maps":  "7f00-7f01 r--p 00000000 fe:00 12 " + model + "/a b.safetensors (deleted)\n",
		"9/comm":  "other\n",
		"9/maps":  "7f00-7f01 r--p 00000000 fe:00 12 " + model + "2/x\n",
		"notes/x": "",
	})
	for _, pid := range []string{"7", "8", "9"} {
		if err := os.Mkdir(filepath.Join(proc, pid, "fd"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(model+"/w.bin", filepath.Join(proc, "7/fd/3")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`still open in vllm (7), "map\x1b[2Jper" (8)`, OpenBy(t.Context(), proc, model).String()); diff != "" {
		t.Error(diff)
	}
	if got := OpenBy(t.Context(), filepath.Join(proc, "none"), model).String(); !strings.HasPrefix(got, "could not look") {
		t.Errorf("got %q", got)
	}
}
