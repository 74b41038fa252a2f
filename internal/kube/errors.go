package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
			WithHint("check that it runs and can be reached")
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

// maxOwned is how many fields of others an error names.
const maxOwned = 10

// owned makes a fault of the conflict that applying meets where fields have
// other owners, and leaves other errors as they are.
func owned(err error) error {
	var fields []string
	status := apierrors.APIStatus(nil)
	if err == nil || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			fields = append(fields, fmt.Sprintf("%.200s: %.200s", strings.TrimPrefix(cause.Field, "."), cause.Message))
		}
	}
	if len(fields) == 0 {
		return err
	}
	more := ""
	if len(fields) > maxOwned {
		more = fmt.Sprintf("; and %d more", len(fields)-maxOwned)
		fields = fields[:maxOwned]
	}
	return fault.New(fault.Conflict, "others own fields that would change: %s%s", strings.Join(fields, "; "), more).
		WithHint("change them where they are kept, or have their owner let go of them; nothing is taken by force")
}

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
