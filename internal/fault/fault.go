// Package fault gives errors a kind, so that whoever meets one far from its
// origin can act on it: the command line turns the kind into an exit code, an
// API into a status. It knows nothing of either.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of trouble an error is.
type Kind int

// The kinds. The zero value is trouble with the program or its surroundings.
const (
	// Internal is trouble nobody outside can act on; also every error that
	// is not of this package.
	Internal Kind = iota
	// Invalid is an argument, a configuration or a request that makes no
	// sense.
	Invalid
	// NotFound is a thing that was named and does not exist.
	NotFound
	// Conflict is a thing that changed under the caller, or exists already.
	Conflict
	// Untrusted is a signature that is missing, invalid, expired or made by
	// somebody who is not trusted, or a thing on the deny-list.
	Untrusted
	// Incomplete is something that could not be read, parsed or reached, so
	// that no verdict is possible.
	Incomplete
	// Refused is a gate that was not passed.
	Refused
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case NotFound:
		return "not found"
	case Conflict:
		return "conflict"
	case Untrusted:
		return "untrusted"
	case Incomplete:
		return "incomplete"
	case Refused:
		return "refused"
	default:
		return "internal"
	}
}

// Error is an error with a kind, a text for people and, where there is one,
// the next step.
type Error struct {
	Kind Kind
	// Text says what was being done, to which thing, and what went wrong.
	Text string
	// Hint is what to do next: a sentence or a command line. May be empty.
	Hint string
	// Cause is for errors.Is and errors.As; its words are part of Text.
	Cause error
}

// Error returns Text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns Cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns an error of kind k. The verbs are those of [fmt.Errorf], %w
// included.
func New(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Text: err.Error(), Cause: cause(err)}
}

// cause returns what err wraps: the one error, or err itself when it wraps
// several.
func cause(err error) error {
	if _, several := err.(interface{ Unwrap() []error }); several {
		return err
	}
	return errors.Unwrap(err)
}

// WithHint returns a copy of e that names the next step.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// KindOf returns the kind of the outermost [Error] in err's tree, or Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// HintOf returns the first hint found in err's tree, outermost and leftmost
// first, or "".
func HintOf(err error) string {
	if e, ok := err.(*Error); ok && e.Hint != "" { //nolint:errorlint // this walks the tree itself, as errors.As stops at the first Error
		return e.Hint
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		return HintOf(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, branch := range e.Unwrap() {
			if hint := HintOf(branch); hint != "" {
				return hint
			}
		}
	}
	return ""
}
