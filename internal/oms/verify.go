package oms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Verify answers whether the model at path, a directory or a single file, is
// what somebody trusted signed. The signature is verified first; then every
// file is compared with it, also when the signature is not trusted, for what
// the difference may tell.
//
// The error is for the program and its arguments only: a [fault.Invalid] or
// ctx's. A model or a signature that cannot be read has the verdict Error, and
// the reasons say why.
func Verify(ctx context.Context, path string, o VerifyOptions) (*Result, error) {
	return verify(ctx, Source{Path: path}, o)
}

func verify(ctx context.Context, s Source, o VerifyOptions) (*Result, error) {
	path := s.Path
	if path == "" {
		return nil, fault.New(fault.Invalid, "verify: no path is given")
	}
	for _, p := range o.IgnorePaths {
		if err := artifact.CheckPath(p); err != nil {
			return nil, fault.New(fault.Invalid, "verify: ignored %w", err).
				WithHint("give paths relative to the model, as a listing of the model shows them")
		}
	}
	o.Limits = o.Limits.fill()
	v := &verification{path: path, source: s, VerifyOptions: o, out: &Result{
		Path: path, Mismatches: []Mismatch{}, Uncovered: []string{}, Reasons: []string{},
	}}
	if err := v.run(ctx); err != nil {
		return nil, fmt.Errorf("verify %s: %w", artifact.Quote(path), err)
	}
	v.conclude()
	return v.out, nil
}

// verification is one run of [Verify].
type verification struct {
	VerifyOptions
	path   string
	source Source
	isDir  bool
	out    *Result
	// signed is set when the signature verified; untrusted and incomplete are
	// what went wrong so far.
	signed, untrusted, incomplete bool
}

// fail notes why the model cannot be verified. What is malformed or cannot be
// read might be anything; the rest is a statement that is not to be relied on.
func (v *verification) fail(err error) {
	v.out.note(err.Error())
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, errUntrusted), errors.Is(err, errUnsigned):
		v.untrusted = true
	default:
		v.incomplete = true
	}
}

func (v *verification) run(ctx context.Context) error {
	info, err := os.Stat(v.path)
	if err != nil {
		v.fail(fmt.Errorf("read model: %w", cause(err)))
		return nil
	}
	v.isDir = info.IsDir()
	found, err := finder{v.path, v.isDir, v.Limits, v.source}.find(v.Signature)
	if err != nil {
		v.fail(err)
		return nil
	}
	v.out.Material = found.material
	c, err := v.authenticate(ctx, found)
	if err != nil || c == nil {
		return err
	}
	return v.compare(ctx, c, found.inside)
}

// authenticate verifies the signature and returns what it is over. The claims
// are nil when they cannot be understood.
func (v *verification) authenticate(ctx context.Context, found *located) (*claims, error) {
	var c *claims
	var s signer
	var claimErr, signErr error
	if found.isBlob {
		v.out.Method = MethodManifest
		s, signErr = blobSigner(found.data, found.blobSig, v.Trust.Keys)
		c, claimErr = parseBlobManifest(found.data, v.Limits)
	} else {
		b, err := parseBundle(found.data, v.Limits)
		if err != nil {
			v.fail(err)
			return nil, nil
		}
		v.out.Method = b.method
		c, s, claimErr, signErr = v.bundle(ctx, b, found.data)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range []error{signErr, claimErr} {
		if err != nil {
			v.fail(err)
		}
	}
	if signErr == nil {
		v.accept(s, c)
	}
	if c != nil {
		for _, note := range c.notes {
			v.out.note(note)
		}
	}
	return c, nil
}

func (v *verification) bundle(ctx context.Context, b *bundle, raw []byte) (c *claims, s signer, claimErr, signErr error) {
	st, err := parseStatement(b.payload, v.Limits)
	if err != nil {
		return nil, s, err, errUnreadStatement
	}
	check := check{bundle: b, raw: raw, legacy: st.predicateType == predicateV01, trust: v.Trust, now: v.Now}
	s, signErr = check.signer(ctx)
	c, claimErr = st.understand()
	return c, s, claimErr, signErr
}

// errUnreadStatement says nothing of its own: the reason stands beside it.
var errUnreadStatement = fmt.Errorf("the signature was not checked: %w", ErrMalformed)

func (v *verification) accept(s signer, c *claims) {
	v.signed = true
	v.out.Signer, v.out.SignedAt = s.name, s.at
	v.out.Method = cmp.Or(s.method, v.out.Method)
	if hint, err := KeyHint(s.key); err == nil {
		v.out.KeyHint = hint
	}
	for _, n := range s.notes {
		v.out.note(n)
	}
	if c != nil {
		v.out.RootDigest = c.root
	}
}

// conclude turns what was found into the verdict. The order is that of the
// exit codes, with one exception: files that differ from a list nobody trusted
// signed prove nothing.
func (v *verification) conclude() {
	r := v.out
	if v.FailUncovered {
		for _, p := range r.Uncovered {
			r.Mismatches = append(r.Mismatches, Mismatch{File: p, Kind: KindUnexpected})
		}
	}
	slices.SortFunc(r.Mismatches, func(a, b Mismatch) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Kind, b.Kind))
	})
	switch {
	case v.untrusted:
		r.Verdict = Untrusted
	case v.signed && len(r.Mismatches) > 0:
		r.Verdict = Tampered
	case v.incomplete || !v.signed:
		r.Verdict = Error
	default:
		r.Verdict = Verified
	}
}
