package kube

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// translate makes a fault of what client-go returns. What has no status did
// not come from the API server: it was not reached.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*fault.Error](err); ours {
		return err
	}
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fault.New(fault.Incomplete, "the cluster's API does not answer: %w", passing{err}).
			WithHint("check that it runs and can be reached; then weightwarden incident resume continues")
	}
	return answered(err)
}

func answered(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fault.New(fault.NotFound, "%w", err)
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "denied request"):
		return fault.New(fault.Refused, "admission: %w", err)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fault.New(fault.Refused, "%w", err).
			WithHint("weightwarden kube rbac prints the roles that are needed")
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsGone(err), apierrors.IsResourceExpired(err), testFailed(err):
		return fault.New(fault.Conflict, "%w", passing{err}).WithHint("somebody else changed it at the same time; look, then go on")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err),
		apierrors.IsMethodNotSupported(err), apierrors.IsUnsupportedMediaType(err), apierrors.IsNotAcceptable(err):
		return fault.New(fault.Invalid, "%w", err)
	}
	// Too many requests, time-outs, trouble inside the server: it may pass.
	return fault.New(fault.Incomplete, "%w", passing{err})
}

// passing is an error that is worth trying again after.
type passing struct{ error }

func (p passing) Unwrap() []error { return []error{p.error, action.ErrMayPass} }

// testFailed reports whether a patch was refused because the object was not
// as its test operations said.
func testFailed(err error) bool {
	return apierrors.IsInvalid(err) && (strings.Contains(err.Error(), "testing value") || strings.Contains(err.Error(), "test failed")) ||
		strings.Contains(err.Error(), "the server rejected our request due to an error in our request")
}

// about says what was being done.
func about(err error, what string) error {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	named := fault.New(e.Kind, "%s: %w", what, err)
	named.Hint = e.Hint
	return named
}
