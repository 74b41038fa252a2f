package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/indicator"
	"github.com/weightwarden/weightwarden/internal/layout"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// DefaultSmall is the size up to which a file is read in every cycle: code,
// tokenizers, configuration and signatures are small, and the most dangerous.
const DefaultSmall = 4 << 20

// Live checks for a process that stays. It keeps in memory what it saw of each
// model, so that a look reads only what may have changed since: the first cycle
// reads everything, a later one every small file and whatever looks different,
// [Live.Look] what somebody touched, and [Live.Read] the rest, one file after
// the other. Every look is judged as a whole check is.
//
// What it remembers vouches for nothing over a restart. It may be used from
// many goroutines.
type Live struct {
	*Checker
	// Small is the size up to which a file is read in every cycle.
	Small int64
	// DriftEvery and PackagesEvery are the least times between two looks at
	// outputs and at Python environments; 0 is every cycle.
	DriftEvery, PackagesEvery time.Duration
	// Vouches is that Vouch will be asked: it remembers the digest of each file
	// that was read. Set it before anything is looked at.
	Vouches bool

	once   sync.Once
	models map[string]*seen

	stamps   stamps
	mu       sync.Mutex
	outputs  map[string]past
	packages past
}

// seen is what was seen of one model. The mutex is held through a look: there
// is one at a time.
type seen struct {
	mu     sync.Mutex
	target Target
	// now is nil before the first look, and after one that failed.
	now *manifest.Manifest
	// read says when the bytes of each regular file were last read, in the
	// order of now.Files.
	read []time.Time
	// ranges are the bytes that differed, of files that did.
	ranges map[string][]manifest.Range
	looks  uint64
	// sum says how much there is to read of it, and stalest which of its large
	// files was not read for the longest time: an index, or -1.
	sum     Volume
	stalest int

	verdict sync.Mutex // of what follows, held for a moment only
	base    *baseline.Baseline
}

// past is what a look at outputs or packages said, and when.
type past struct {
	at    time.Time
	found []indicator.Indicator
}

func (p past) due(now time.Time, every time.Duration) bool {
	return p.at.IsZero() || now.Sub(p.at) >= every
}

func (l *Live) model(id string) *seen {
	l.once.Do(func() {
		if l.Vouches {
			l.settled = l.stamps.note
		}
		l.models, l.outputs = map[string]*seen{}, map[string]past{}
		for _, t := range l.Targets {
			l.models[t.ID] = &seen{target: t}
		}
	})
	return l.models[id]
}

// Run carries out one cycle over the models named in only, or over all of
// them, as [Checker.Run] does.
func (l *Live) Run(ctx context.Context, only []string) (*Report, error) {
	targets, err := l.pick(only)
	if err != nil {
		return nil, err
	}
	r := &Report{CheckTime: l.Now().UTC(), Indicators: []indicator.Indicator{}, Models: []Model{}}
	state, err := l.judge(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		part := l.look(ctx, state, l.model(t.ID), l.cycle())
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.Models = append(r.Models, part.Models...)
		r.Indicators = append(r.Indicators, part.Indicators...)
		r.Indicators = append(r.Indicators, l.recent(ctx, t)...)
	}
	if len(only) == 0 {
		r.Indicators = append(r.Indicators, l.installed(ctx)...)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.summarise()
	return r, nil
}

// judge returns the host's record, or nil with an indicator when it was
// altered.
func (l *Live) judge(ctx context.Context, r *Report) (*trust.State, error) {
	state, err := l.state(ctx)
	if errors.Is(err, evidence.ErrAltered) {
		r.Indicators = append(r.Indicators, indicator.New(indicator.RecordAltered, trust.Log, l.Now(), err.Error(),
			map[string]any{"next_step": "weightwarden incident verify " + trust.Log}))
		return nil, nil
	}
	return state, err
}

// recent judges a model's outputs, when that is due.
func (l *Live) recent(ctx context.Context, t Target) []indicator.Indicator {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.outputs[t.ID]
	if p.due(l.Now(), l.DriftEvery) {
		p = past{l.Now(), l.behaviour(ctx, t)}
		l.outputs[t.ID] = p
	}
	return p.found
}

// installed judges the Python environments, when that is due.
func (l *Live) installed(ctx context.Context) []indicator.Indicator {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.packages.due(l.Now(), l.PackagesEvery) {
		l.packages = past{l.Now(), l.Checker.packages(ctx)}
	}
	return l.packages.found
}

// Look looks at one model of which the files named in paths, relative to its
// tree, or what is below them, may have changed; with none it reads all of it.
// The report is about that model alone, and complete about its files. It is nil
// when there is nothing to compare with, which is for the next cycle to settle.
func (l *Live) Look(ctx context.Context, model string, paths []string) (*Report, error) {
	return l.part(ctx, model, paths, 0)
}

// Read reads one file again, at the given rate, whatever its times say.
func (l *Live) Read(ctx context.Context, model, path string, rate int64) (*Report, error) {
	return l.part(ctx, model, []string{path}, rate)
}

func (l *Live) part(ctx context.Context, model string, paths []string, rate int64) (*Report, error) {
	s := l.model(model)
	if s == nil {
		return nil, fault.New(fault.Invalid, "look at model: no model %s", artifact.Quote(model))
	}
	r := &Report{CheckTime: l.Now().UTC(), Indicators: []indicator.Indicator{}}
	changed := func(f artifact.File) bool { return len(paths) == 0 || touched(paths, f.Path) }
	ahead, err := l.readAhead(ctx, s, changed, rate)
	if err != nil {
		return nil, err
	}
	state, err := l.judge(ctx, r)
	if err != nil {
		return nil, err
	}
	part := l.look(ctx, state, s, scope{noBaseline: true, whole: len(paths) == 0, changed: changed, ahead: ahead})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if part.Models[0].Baseline == nil && part.TotalIndicators == 0 {
		return nil, nil //nolint:nilnil // there is nothing to compare with
	}
	r.Models, r.Indicators = part.Models, append(r.Indicators, part.Indicators...)
	r.summarise()
	return r, nil
}

// readAhead reads the large files that changed, before anything is locked: it
// may take hours at a low rate, and others look at the model meanwhile. What
// fails is read again by the look itself, which says what is wrong.
func (l *Live) readAhead(ctx context.Context, s *seen, changed func(artifact.File) bool, rate int64) (map[string]artifact.File, error) {
	s.mu.Lock()
	if s.now == nil || !slices.ContainsFunc(s.now.Files, func(f artifact.File) bool { return f.Size > l.Small && changed(f) }) {
		s.mu.Unlock()
		return nil, nil
	}
	believe, known := s.known(), map[string]bool{}
	s.mu.Unlock()
	o := l.options(s.target.ID)
	if rate > 0 {
		o.Rate = rate
	}
	large := false
	o.Known = func(f artifact.File) (artifact.File, bool) {
		seen, ok := believe(f)
		switch {
		case f.Size > l.Small && (!ok || changed(f)):
			large = true
			return f, false
		case !ok:
			// Of no interest here; any digest keeps it from being read.
			seen.Digest = artifact.SHA256Of(nil)
		}
		known[f.Path] = true
		return seen, true
	}
	now, err := layout.Detect(s.target.Path).Take(ctx, o)
	if err != nil || !large {
		return nil, ctx.Err()
	}
	ahead := map[string]artifact.File{}
	for _, f := range now.Files {
		if f.Kind == artifact.Regular && !known[f.Path] && !f.Digest.IsZero() {
			ahead[f.Path] = f
		}
	}
	for _, p := range now.Problems {
		delete(ahead, p.Path)
	}
	return ahead, ctx.Err()
}

// scope says what a look reads.
type scope struct {
	// noBaseline is that of glance.
	noBaseline bool
	// whole reads everything.
	whole bool
	// changed says which files are to be read, whatever they look like.
	changed func(artifact.File) bool
	// ahead holds what was read just now.
	ahead map[string]artifact.File
}

// cycle is what a cycle reads.
func (l *Live) cycle() scope {
	return scope{changed: func(f artifact.File) bool { return f.Size <= l.Small }}
}

// look looks at a model and remembers what it saw. The report holds the model
// and what was found of it.
func (l *Live) look(ctx context.Context, state *trust.State, s *seen, sc scope) *Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := l.Now()
	g := glance{noBaseline: sc.noBaseline}
	var believed map[string]bool // nil when everything was read
	if s.now != nil && (!sc.whole || len(sc.ahead) > 0) {
		believed = map[string]bool{}
		g.known, g.ranges = s.knownTo(sc, believed), maps.Clone(s.ranges)
		maps.DeleteFunc(g.ranges, func(path string, _ []manifest.Range) bool { _, again := sc.ahead[path]; return again })
	}
	m, found, saw := l.Checker.model(ctx, state, s.target, g)
	s.looks++
	m.Look = s.looks
	r := &Report{CheckTime: began.UTC(), Models: []Model{m}, Indicators: found}
	r.summarise()
	if ctx.Err() == nil { // else it was half a look, and what was seen before stays
		s.remember(saw, believed, began, m.Baseline == nil, l.Small)
		s.verdict.Lock()
		s.base = nil
		if saw != nil {
			s.base = saw.base
		}
		s.verdict.Unlock()
	}
	return r
}

// knownTo says what a look believes, and notes it.
func (s *seen) knownTo(sc scope, believed map[string]bool) func(artifact.File) (artifact.File, bool) {
	believe := s.known()
	return func(f artifact.File) (artifact.File, bool) {
		if e, ok := sc.ahead[f.Path]; ok && alike(e, f) {
			return e, true
		}
		if sc.changed(f) {
			return f, false
		}
		seen, ok := believe(f)
		believed[f.Path] = ok
		return seen, ok
	}
}

// remember keeps what was seen. Without a baseline nothing is, so that the next
// cycle looks at everything and takes one.
func (s *seen) remember(saw *sight, believed map[string]bool, began time.Time, nothing bool, small int64) {
	if saw == nil || nothing {
		s.now, s.read, s.ranges = nil, nil, nil
		s.sum, s.stalest = Volume{}, -1
		return
	}
	now := saw.now
	read, before, i := make([]time.Time, len(now.Files)), s.now, 0
	for n := range now.Files {
		path := now.Files[n].Path
		read[n] = began
		if !believed[path] {
			continue
		}
		for i < len(before.Files) && before.Files[i].Path < path {
			i++
		}
		if i < len(before.Files) && before.Files[i].Path == path {
			read[n] = s.read[i]
		}
	}
	if saw.base != nil {
		share(now.Files, saw.base.Manifest.Files)
	}
	s.now, s.read, s.ranges = now, read, saw.ranges
	s.add(small)
}

// add adds up what there is to read.
func (s *seen) add(small int64) {
	s.sum, s.stalest = Volume{}, -1
	s.volume(small, &s.sum, func(i int, _ *artifact.File) {
		if s.stalest < 0 || s.read[i].Before(s.read[s.stalest]) {
			s.stalest = i
		}
	})
}

// share lets files hold no other memory than the same files of the baseline,
// which stays: a great many files fit into little. Both are in order.
func share(files, base []artifact.File) {
	for i := range files {
		f := &files[i]
		for len(base) > 0 && base[0].Path < f.Path {
			base = base[1:]
		}
		if len(base) == 0 {
			return
		}
		b := &base[0]
		if b.Path != f.Path {
			continue
		}
		f.Path = b.Path
		if f.Digest == b.Digest {
			f.Digest = b.Digest
		}
		if f.Attributes != nil && b.Attributes != nil && alikeAttributes(f.Attributes, b.Attributes) && slices.Equal(f.Attributes.Extended, b.Attributes.Extended) {
			f.Attributes = b.Attributes
		}
	}
}

// known believes what was seen of a file, unless it looks different now, or
// could not be relied on even then.
func (s *seen) known() func(artifact.File) (artifact.File, bool) {
	last, troubled := s.now.Files, map[string]bool{}
	for _, p := range s.now.Problems {
		troubled[p.Path] = true
	}
	return func(f artifact.File) (artifact.File, bool) {
		i, ok := slices.BinarySearchFunc(last, f.Path, func(o artifact.File, path string) int { return cmp.Compare(o.Path, path) })
		if !ok || troubled[f.Path] || !alike(last[i], f) {
			return f, false
		}
		return last[i], true
	}
}

// alike reports whether lstat shows the same of both.
func alike(a, b artifact.File) bool {
	if a.Kind != b.Kind || a.Size != b.Size || a.Mode != b.Mode || !a.ModTime.Equal(b.ModTime) {
		return false
	}
	if a.Attributes == nil || b.Attributes == nil {
		return a.Attributes == b.Attributes
	}
	return alikeAttributes(a.Attributes, b.Attributes)
}

func alikeAttributes(a, b *artifact.Attributes) bool {
	return a.UID == b.UID && a.GID == b.GID && a.Links == b.Links
}

// touched reports whether the file is one of paths or below one.
func touched(paths []string, file string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		return p == "" || p == file || strings.HasPrefix(file, p+"/")
	})
}

// Stalest is what has to be read to keep a promise about age.
type Stalest struct {
	Model, Path string
	Size        int64
	// Read is when the file was last read; zero when it never was.
	Read time.Time
}

// Volume says how much there is to read.
type Volume struct {
	// Small are the bytes of files that every cycle reads, Large those of the
	// others.
	Small, Large int64
	// Files are all regular files.
	Files int
}

// Stalest returns the file above Small that was not read for the longest time,
// ok only when there is one, and how much there is. A model that is being
// looked at is left out.
func (l *Live) Stalest() (worst Stalest, volume Volume, ok bool) {
	for _, t := range l.Targets {
		s := l.model(t.ID)
		if !s.mu.TryLock() {
			continue
		}
		if s.now != nil {
			volume.Files += s.sum.Files
			volume.Small += s.sum.Small
			volume.Large += s.sum.Large
			if i := s.stalest; i >= 0 && (!ok || s.read[i].Before(worst.Read)) {
				f := &s.now.Files[i]
				worst, ok = Stalest{t.ID, f.Path, f.Size, s.read[i]}, true
			}
		}
		s.mu.Unlock()
	}
	return worst, volume, ok
}

// Survey says how much there is to read, without reading it. What cannot be
// looked at counts nothing here, and says so in the first cycle.
func (l *Live) Survey(ctx context.Context) (v Volume, err error) {
	for _, t := range l.Targets {
		o := manifest.Options{Known: func(f artifact.File) (artifact.File, bool) {
			f.Digest = artifact.SHA256Of(nil)
			return f, true
		}}
		now, err := layout.Detect(t.Path).Take(ctx, o)
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		if err == nil {
			(&seen{now: now}).volume(l.Small, &v, func(int, *artifact.File) {})
		}
	}
	return v, nil
}

// volume adds up what there is to read, and shows the large files.
func (s *seen) volume(small int64, v *Volume, large func(int, *artifact.File)) {
	for i := range s.now.Files {
		switch f := &s.now.Files[i]; {
		case f.Kind != artifact.Regular:
		case f.Size <= small:
			v.Files++
			v.Small += f.Size
		default:
			v.Files++
			v.Large += f.Size
			large(i, f)
		}
	}
}

// Unsettled returns the files of a model that could not be relied on when they
// were last read: somebody had them open for writing, or they changed.
func (l *Live) Unsettled(model string) (paths []string) {
	s := l.model(model)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil
	}
	for _, p := range s.now.Problems {
		if p.Kind == manifest.Writer || p.Kind == manifest.Unstable {
			paths = append(paths, p.Path)
		}
	}
	return paths
}

// PassPart is the part of the promised age in which all large files are read
// once. A file is as old as the beginning of its last reading, and a new one
// counts when it has ended: of a single file both take this long, and there has
// to be room for delays.
const PassPart = 0.4

// Feasible refuses what cannot be done: reading volume at rate, with every
// small file in each interval and every large one in each age. A rate of 0 is
// no limit, and no promise.
func Feasible(v Volume, rate int64, interval, age time.Duration) error {
	if rate <= 0 {
		return nil
	}
	large := float64(v.Large) / (PassPart * age.Seconds())
	small := float64(v.Small) / interval.Seconds()
	if large+small <= float64(rate) {
		return nil
	}
	return fault.New(fault.Invalid,
		"watch: %d bytes within %s, and %d bytes of small files every %s, need %.0f bytes per second, and hashing.rate allows %d",
		v.Large, age, v.Small, interval, math.Ceil(large+small), rate).
		WithHint("%s", fmt.Sprintf("raise hashing.rate to %.0f or more, watch.full_pass_age, or check_interval_seconds", math.Ceil(large+small)))
}
