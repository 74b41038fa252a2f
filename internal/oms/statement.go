package oms

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateV1   = "https://model_signing/signature/v1.0"
	predicateV01  = "https://model_signing/Digests/v0.1" // release v0.2.0
)

// statement is an in-toto statement about a model, as it was written: parsed,
// not yet understood.
type statement struct {
	kind          string
	predicateType string
	subjects      []descriptor
	resources     []descriptor
	method        string // files or shards
	hashType      string
	shardSize     int64
	ignore        []string
}

// descriptor is a subject or a resource.
type descriptor struct {
	name      string
	algorithm string // of a resource; of a v0.2.0 subject, from its annotations
	digest    string // hex
}

func parseStatement(data []byte, lim Limits) (*statement, error) {
	r, err := newReader(data, lim.Depth)
	if err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	r.fold = true
	p := statementParser{reader: r, lim: lim}
	if err := p.object(p.top); err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	if p.out.kind != statementType {
		return nil, fmt.Errorf("read statement: type %.80q: %w", p.out.kind, ErrRefused)
	}
	return &p.out, nil
}

type statementParser struct {
	*reader
	lim Limits
	out statement
}

func (p *statementParser) top(key string) error {
	switch key {
	case "_type":
		return p.into(&p.out.kind)
	case "predicateType":
		return p.into(&p.out.predicateType)
	case "subject":
		return p.array(p.lim.Resources, p.subject)
	case "predicate":
		return p.object(p.predicate)
	default:
		return errUnknownField
	}
}

func (p *statementParser) subject() error {
	var d descriptor
	err := p.object(func(key string) error {
		switch key {
		case "name":
			return p.into(&d.name)
		case "digest":
			return p.object(func(alg string) error {
				if alg != string(artifact.SHA256) {
					return fmt.Errorf("digest of a subject: %w", ErrRefused)
				}
				return p.into(&d.digest)
			})
		case "annotations":
			return p.object(func(key string) error {
				if key != "actual_hash_algorithm" {
					return p.skip()
				}
				return p.into(&d.algorithm)
			})
		default:
			return errUnknownField
		}
	})
	p.out.subjects = append(p.out.subjects, d)
	return err
}

// predicate ignores keys it does not know, as the reference implementation
// says verifiers must.
func (p *statementParser) predicate(key string) error {
	switch key {
	case "serialization":
		return p.object(p.serialization)
	case "resources":
		return p.array(p.lim.Resources, p.resource)
	default:
		return p.skip()
	}
}

func (p *statementParser) serialization(key string) (err error) {
	switch key {
	case "method":
		return p.into(&p.out.method)
	case "hash_type":
		return p.into(&p.out.hashType)
	case "shard_size":
		p.out.shardSize, err = p.count()
		return err
	case "allow_symlinks":
		_, err = p.boolean() // the verifier decides about links
		return err
	case "ignore_paths":
		return p.array(p.lim.Resources, func() error {
			s, err := p.str()
			p.out.ignore = append(p.out.ignore, s)
			return err
		})
	default:
		return p.skip()
	}
}

func (p *statementParser) resource() error {
	var d descriptor
	err := p.object(func(key string) error {
		switch key {
		case "name":
			return p.into(&d.name)
		case "algorithm":
			return p.into(&d.algorithm)
		case "digest":
			return p.into(&d.digest)
		default:
			return p.skip()
		}
	})
	p.out.resources = append(p.out.resources, d)
	return err
}

// claims is what a statement or a blob manifest says about a model, checked:
// every path is in its one spelling and occurs once, shards are without gaps,
// and the root digest is right.
type claims struct {
	files  []claim // in listed order of first mention
	ignore []string
	root   artifact.Digest // zero where the form has none
	// single is set when the only resource is ".", a model that is one file
	// whatever its name.
	single bool
	// gitIgnored is set for OMS, which leaves some paths out of every model.
	gitIgnored bool
	// emptyHidden is set for shards, which do not mention empty files.
	emptyHidden bool
	notes       []string
}

// claim is the expected content of one file.
type claim struct {
	path   string
	shards []shard // one from 0 to -1 for a whole file
}

// shard is the expected digest of the bytes from start up to end, or up to the
// end of the file when end is -1.
type shard struct {
	start, end int64
	digest     artifact.Digest
}

func (c claim) whole() bool { return len(c.shards) == 1 && c.shards[0].end < 0 }

// plainSHA256 reports whether the manifest engine's digest answers c.
func (c claim) plainSHA256() bool {
	return c.whole() && c.shards[0].digest.Algorithm() == artifact.SHA256
}

// understand checks a statement and returns its claims.
func (s *statement) understand() (*claims, error) {
	var c *claims
	var err error
	switch {
	case s.predicateType == predicateV01:
		c, err = s.understandV01()
	case s.predicateType != predicateV1:
		err = fmt.Errorf("predicate type %.80q: %w", s.predicateType, ErrRefused)
	case len(s.subjects) != 1:
		err = fmt.Errorf("%d subjects, want exactly one: %w", len(s.subjects), ErrRefused)
	case s.subjects[0].name == "":
		err = fmt.Errorf("the subject has no name: %w", ErrMalformed)
	case len(s.resources) == 0:
		err = fmt.Errorf("no file is listed: %w", ErrRefused)
	default:
		c, err = s.understandV1()
	}
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return c, nil
}

func (s *statement) understandV1() (*claims, error) {
	alg := artifact.Algorithm(s.hashType)
	if !known(alg) {
		return nil, fmt.Errorf("hash type %.40q: %w", s.hashType, ErrRefused)
	}
	c := &claims{gitIgnored: true}
	if err := s.ignored(c); err != nil {
		return nil, err
	}
	var root rootDigest
	var err error
	switch s.method {
	case "files":
		err = s.wholeFiles(c, alg, &root)
	case "shards":
		err = s.shards(c, alg, &root)
	default:
		err = fmt.Errorf("serialization method %.40q: %w", s.method, ErrRefused)
	}
	if err != nil {
		return nil, err
	}
	want, err := parseHex(artifact.SHA256, s.subjects[0].digest)
	if err != nil {
		return nil, fmt.Errorf("root digest: %w", err)
	}
	if c.root = root.digest(); c.root != want {
		return nil, fmt.Errorf("the root digest is not that of the listed files: %w", ErrRefused)
	}
	return c, nil
}

// known reports whether alg occurs in OMS.
func known(alg artifact.Algorithm) bool {
	return alg == artifact.SHA256 || alg == artifact.BLAKE2b512 || alg == artifact.BLAKE3
}

func (s *statement) ignored(c *claims) error {
	for _, p := range s.ignore {
		if err := artifact.CheckPath(p); err != nil {
			return fmt.Errorf("ignored %w: %w", err, ErrRefused)
		}
	}
	c.ignore = append(c.ignore, s.ignore...)
	return nil
}

func (s *statement) wholeFiles(c *claims, alg artifact.Algorithm, root *rootDigest) error {
	seen := make(map[string]bool, len(s.resources))
	for _, r := range s.resources {
		d, err := r.parse(alg, s.hashType)
		if err != nil {
			return err
		}
		if err := c.checkName(r.name, len(s.resources)); err != nil {
			return err
		}
		if seen[r.name] {
			return fmt.Errorf("file %.80q is listed twice: %w", r.name, ErrRefused)
		}
		seen[r.name] = true
		root.add(d)
		c.files = append(c.files, claim{r.name, []shard{{0, -1, d}}})
	}
	c.noteOrder(s.resources, false)
	return nil
}

// checkName accepts "." for a model that is one file, besides paths.
func (c *claims) checkName(name string, files int) error {
	if name == "." && files == 1 {
		c.single = true
		return nil
	}
	if err := artifact.CheckPath(name); err != nil {
		return fmt.Errorf("listed %w: %w", err, ErrRefused)
	}
	return nil
}

// parse checks the algorithm of a resource against the one or two spellings it
// may have, and returns its digest.
func (d descriptor) parse(alg artifact.Algorithm, spellings ...string) (artifact.Digest, error) {
	if slices.Contains(spellings, d.algorithm) {
		return parseHex(alg, d.digest)
	}
	return artifact.Digest{}, fmt.Errorf("file %.80q: algorithm %.40q: %w", d.name, d.algorithm, ErrRefused)
}

func parseHex(alg artifact.Algorithm, digits string) (artifact.Digest, error) {
	if len(digits) != 2*alg.Size() {
		return artifact.Digest{}, fmt.Errorf("a %s digest of %d characters: %w", alg, len(digits), ErrMalformed)
	}
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return artifact.Digest{}, fmt.Errorf("digest %.80q: %w", digits, ErrMalformed)
	}
	return artifact.NewDigest(alg, sum)
}

// understandV01 reads the form of release v0.2.0: a subject for each file and
// no root digest.
func (s *statement) understandV01() (*claims, error) {
	if len(s.subjects) == 0 {
		return nil, fmt.Errorf("no file is listed: %w", ErrRefused)
	}
	files := *s
	files.resources = nil
	for _, d := range s.subjects {
		files.resources = append(files.resources, descriptor{d.name, strings.TrimPrefix(d.algorithm, "file-"), d.digest})
	}
	files.hashType = string(artifact.SHA256)
	c := &claims{gitIgnored: true}
	var root rootDigest
	if err := files.wholeFiles(c, artifact.SHA256, &root); err != nil {
		return nil, err
	}
	return c, nil
}
