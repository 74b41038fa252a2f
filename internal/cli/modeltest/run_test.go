//go:build linux

package modeltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/signer"
	"github.com/weightwarden/weightwarden/internal/store"
)

// story is a sequence that is being told, and what is known of it.
type story struct {
	*site
	audit audit
	rows  map[string][]evidence.Stored
	// acknowledged are the notes whose command said that they are kept.
	acknowledged map[string]string
	// tainted says that an outsider has changed what is served.
	tainted bool
	// tellsAll asks for the way out of the incident too, which takes as long
	// as all before it.
	tellsAll bool
	figures  *figures
}

// broken is a property that does not hold.
type broken struct{ what string }

func (b broken) Error() string { return b.what }

func wrong(format string, args ...any) error { return broken{fmt.Sprintf(format, args...)} }

// tell runs a sequence on a copy of the site and checks every property after
// every move.
func tell(base *site, dir string, moves []move, f *figures) error {
	s, err := base.clone(dir)
	if err != nil {
		return err
	}
	st := &story{
		tellsAll: len(moves)%2 == 0,
		site:     s, figures: f, rows: map[string][]evidence.Stored{}, acknowledged: map[string]string{},
		audit: audit{cases: map[string]*incidentModel{}, denied: map[string]string{}},
	}
	if err := st.read(moment{site: s}); err != nil {
		return err
	}
	for n, m := range moves {
		if err := st.step(m); err != nil {
			return fmt.Errorf("move %d (%v): %w", n+1, m, err)
		}
	}
	if err := st.end(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

// step makes one move and checks what has to hold at every moment.
func (s *story) step(m move) error {
	if outsider[m.Do] {
		return s.interfere(m)
	}
	before, err := look(s.path("models"))
	if err != nil {
		return err
	}
	results, err := s.act(m)
	if err != nil {
		return err
	}
	known := lengths(s.rows)
	at := moment{site: s.site, tree: below(before, "m"), shared: m.With != nil}
	if err := s.read(at); err != nil {
		return err
	}
	s.count(m, results)
	after, err := look(s.path("models"))
	if err != nil {
		return err
	}
	return errors.Join(s.judge(m, results, known, before, after), s.untouched())
}

// act runs the commands of a move.
func (s *story) act(m move) ([]result, error) {
	if m.With != nil {
		mine, others := s.words(m), s.words(*m.With) // before either opens an incident
		other := make(chan result)
		go func() { other <- s.here(m.With.By, blow{}, others...) }()
		first := s.here(m.By, m.Blow, mine...)
		return []result{first, <-other}, nil
	}
	if m.Apart {
		r, err := s.apart(m.By, m.Blow, s.words(m)...)
		return []result{r}, err
	}
	return []result{s.here(m.By, m.Blow, s.words(m)...)}, nil
}

func lengths(rows map[string][]evidence.Stored) map[string]int {
	out := map[string]int{}
	for log, list := range rows {
		out[log] = len(list)
	}
	return out
}

func below(t tree, dir string) tree {
	out := tree{}
	for name, text := range t {
		if name == dir {
			out["."] = text
		} else if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			out[rest] = text
		}
	}
	return out
}

// judge checks what one move did to the world against what it wrote.
func (s *story) judge(m move, results []result, known map[string]int, before, after tree) error {
	var errs []error
	began := false
	for log, rows := range s.rows {
		for _, r := range rows[known[log]:] {
			began = began || bytes.Contains(r.Raw, []byte(`"kind":"step_intended"`))
		}
	}
	if d := differ(before, after); d != "" && !began {
		errs = append(errs, wrong("files were changed and no step says so: %s", d))
	}
	served := below(after, "m")
	errs = append(errs, s.served(below(before, "m"), served), s.restored(m, known, served))
	for _, r := range results {
		if r.code > 5 {
			errs = append(errs, wrong("exit code %d: %s", r.code, r.errors))
		}
		if r.code == 0 && r.did("incident", "note") {
			s.acknowledged[r.args[3]] = r.args[2]
		}
		if r.code == 0 && r.did("incident", "assess") && m.With == nil {
			errs = append(errs, s.captured(r.args[2], below(before, "m")))
		}
	}
	return errors.Join(errs...)
}

// served checks that what is served is whole: what was there, the marker, or
// one of the versions.
func (s *story) served(before, after tree) error {
	got := after.contents()
	if maps.Equal(before, after) || s.isMarker(after) {
		return nil
	}
	for _, v := range s.versions {
		if maps.Equal(v.files, got) {
			return nil
		}
	}
	for _, c := range s.audit.cases {
		for _, p := range c.plans {
			if p.before != nil && differ(p.before, after) == "" {
				return nil
			}
		}
	}
	if len(after) == 0 { // one exchange of names leaves no gap, but undoing a rollback to nothing does
		return s.mayBeGone()
	}
	return wrong("what is served is neither what was there nor what was meant to be: %q", got)
}

func (s *story) mayBeGone() error {
	for _, c := range s.audit.cases {
		for _, p := range c.plans {
			if p.before != nil && len(p.before) == 0 {
				return nil
			}
		}
	}
	return wrong("nothing is served, and nobody took it away")
}

// isMarker reports whether all that is served is the marker of an incident.
func (s *story) isMarker(t tree) bool {
	if len(t) != 2 || t["COMPROMISED.txt"] == "" {
		return false
	}
	text, err := os.ReadFile(filepath.Join(s.serving(), "COMPROMISED.txt"))
	return err == nil && slices.ContainsFunc(s.incidents, func(id string) bool { return strings.Contains(string(text), id) })
}

// restored checks that whatever was taken back is as it was, to the last bit.
func (s *story) restored(m move, known map[string]int, served tree) error {
	if m.With != nil {
		return nil
	}
	for log, rows := range s.rows {
		c := s.audit.cases[log]
		if c == nil || len(rows) == known[log] {
			continue
		}
		p := c.last()
		if p == nil || p.action != "undo" {
			continue
		}
		if err := s.back(c, p, served); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) back(c *incidentModel, undo *planModel, served tree) error {
	for _, step := range undo.steps {
		hash, id, _ := strings.Cut(step.Undoes, "/")
		p := c.plan(hash)
		if step.status != "done" || p == nil {
			continue
		}
		switch step.Kind {
		case "exchange_back":
			if d := differ(p.before, served); d != "" && !p.tainted && !s.tainted && !s.replaced(c, undo) {
				return wrong("undoing %s did not bring back what was there: %s", id, d)
			}
		case "lift_denial":
			var b struct{ Value string }
			if err := json.Unmarshal(step.Params, &b); err != nil {
				return err
			}
			if by, denied := s.audit.denied[b.Value]; denied && by == c.id && undo == c.last() && undo.all("done") {
				return wrong("undoing %s left %s on the deny-list", id, b.Value)
			}
		case "return_baseline":
			if undo.all("done") && s.audit.baseline != p.baseline && undo == c.last() {
				return wrong("undoing %s did not bring back the baseline %s: %s", id, p.baseline, s.audit.baseline)
			}
		}
	}
	return nil
}

// replaced reports whether another incident has put something in place since.
func (s *story) replaced(c *incidentModel, undo *planModel) bool {
	for id, other := range s.audit.cases {
		if id != c.id && len(other.plans) > 0 {
			return true
		}
	}
	return undo != c.last()
}

// captured checks that sealed evidence holds every file that is not as it was
// installed, and that the vault gives it back.
func (s *story) captured(id string, served tree) error {
	good, err := s.installed()
	if err != nil {
		return err
	}
	for name, digest := range served.contents() {
		if good[name] == digest {
			continue
		}
		if !s.audit.cases[id].items[digest] {
			return wrong("%s differs from the baseline and was not sealed", name)
		}
		path := s.path("state", "vault", "sha256", digest[:2], digest)
		if _, err := os.Stat(path); err != nil {
			return wrong("%s was sealed and is not in the vault: %v", name, err)
		}
	}
	return nil
}

// installed returns the files of the version that is the baseline.
func (s *story) installed() (map[string]string, error) {
	var b struct {
		Root string `json:"root_digest"`
	}
	if err := json.Unmarshal([]byte(s.audit.baseline), &b); err != nil {
		return nil, err
	}
	for _, v := range s.versions {
		if v.installed == b.Root {
			return v.files, nil
		}
	}
	return nil, wrong("the baseline is none of the versions: %s", s.audit.baseline)
}

// untouched checks that the archive is as the versions say.
func (s *story) untouched() error {
	for name, v := range s.versions {
		seen, err := look(s.path("archive", name))
		if err != nil {
			return err
		}
		if !maps.Equal(seen.contents(), v.files) && !v.broken {
			return wrong("version %s was changed", name)
		}
	}
	return nil
}

// read takes in what was recorded since, and checks that what was there before
// is there still, and that every new entry may stand where it stands.
func (s *story) read(m moment) error {
	now, err := s.stored()
	if err != nil {
		return err
	}
	var fresh []row
	for log, before := range s.rows {
		same := func(a, b evidence.Stored) bool { return a.Seq == b.Seq && bytes.Equal(a.Raw, b.Raw) }
		if len(now[log]) < len(before) || !slices.EqualFunc(before, now[log][:len(before)], same) {
			return wrong("the record %s had %d entries and has %d: something was lost or rewritten", log, len(before), len(now[log]))
		}
	}
	for log, rows := range now {
		for _, stored := range rows[len(s.rows[log]):] {
			var r row
			if err := json.Unmarshal(stored.Raw, &r); err != nil {
				return err
			}
			fresh = append(fresh, r)
		}
		if strings.HasPrefix(log, "INC-") && !slices.Contains(s.incidents, log) {
			s.incidents = append(s.incidents, log)
		}
	}
	s.rows = now
	return s.inOrder(fresh, m)
}

// inOrder judges new entries in the order in which they came about.
func (s *story) inOrder(fresh []row, m moment) error {
	slices.SortStableFunc(fresh, func(a, b row) int {
		if a.Log == b.Log {
			return int(a.Seq) - int(b.Seq)
		}
		return a.Time.Compare(b.Time)
	})
	open := map[string]string{} // target by plan whose step is being taken
	for _, r := range fresh {
		if why := s.audit.entry(r, m); why != "" {
			return wrong("entry %d of %s (%s): %s", r.Seq, r.Log, r.Kind, why)
		}
		if err := s.together(r, open); err != nil {
			return err
		}
	}
	return nil
}

// together checks that no two plans act on one target at the same time.
func (s *story) together(r row, open map[string]string) error {
	var b struct {
		Plan string `json:"plan_hash"`
	}
	if err := json.Unmarshal(r.Body, &b); err != nil || b.Plan == "" || r.Log == "host" {
		return nil //nolint:nilerr // an entry that is about no plan
	}
	switch r.Kind {
	case "step_intended":
		target := s.audit.cases[r.Log].plan(b.Plan).target
		for plan, other := range open {
			if plan != b.Plan && other == target {
				return wrong("two plans act on %s at the same time", target)
			}
		}
		open[b.Plan] = target
	case "step_observed":
		delete(open, b.Plan)
	}
	return nil
}

// stored reads the rows of all records.
func (s *story) stored() (map[string][]evidence.Stored, error) {
	rows := map[string][]evidence.Stored{}
	return rows, s.database(func(l evidence.Ledger, _ evidence.VerifierKey, log string) error {
		state, err := l.State(background, log)
		rows[log] = state.Rows
		return err
	})
}

// intact verifies the chains and checkpoints of all records.
func (s *story) intact() error {
	return s.database(func(l evidence.Ledger, key evidence.VerifierKey, log string) error {
		state, err := l.State(background, log)
		if err != nil {
			return err
		}
		if problems := evidence.VerifyLog(state, key); len(problems) > 0 {
			return wrong("the record %s: %v", log, problems)
		}
		return nil
	})
}

func (s *story) database(do func(l evidence.Ledger, key evidence.VerifierKey, log string) error) (err error) {
	key, err := signer.StateKey(s.path("state"), nil)
	if err != nil {
		return err
	}
	db, err := store.Open(background, s.path("state"), key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	logs, err := db.Ledger().Logs(background, "")
	if err != nil {
		return err
	}
	for _, log := range logs {
		if err := do(db.Ledger(), key.Public(), log); err != nil {
			return err
		}
	}
	return nil
}

// interfere does what an outsider does.
func (s *story) interfere(m move) error {
	s.tainted = s.tainted || m.Do != "break"
	for _, c := range s.audit.cases {
		for _, p := range c.plans {
			p.tainted = true
		}
	}
	switch m.Do {
	case "touch":
		if _, err := os.Stat(s.serving()); err == nil {
			return os.WriteFile(filepath.Join(s.serving(), "stray.txt"), []byte("not of the model"), 0o600)
		}
	case "edit":
		files, err := filepath.Glob(filepath.Join(s.serving(), "weights", "*.bin"))
		if err != nil || len(files) == 0 {
			return err
		}
		return os.WriteFile(files[0], []byte("edited by somebody"), 0o600)
	case "remove":
		return os.RemoveAll(s.serving())
	case "break":
		v := s.versions[m.Arg]
		v.broken = true
		f, err := os.OpenFile(s.path("archive", m.Arg, "weights", "0.bin"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("!")
		return errors.Join(err, f.Close())
	}
	return nil
}

// requested returns the plan that was asked for last, or one that nobody knows.
func (s *story) requested(id string) string {
	if c := s.audit.cases[id]; c != nil && c.asked != "" {
		return c.asked
	}
	return strings.Repeat("1", 64)
}
