package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/weightwarden/weightwarden/internal/fault"
)

func TestKindOf(t *testing.T) {
	refused := fault.New(fault.Refused, "gate shut")
	tests := []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"nil", nil, fault.Internal},
		{"foreign", io.EOF, fault.Internal},
		{"itself", refused, fault.Refused},
		{"wrapped", fmt.Errorf("isolate: %w", refused), fault.Refused},
		{"as_text_only", fmt.Errorf("isolate: %s", refused.Error()), fault.Internal},
		{"outermost_counts", fault.New(fault.Invalid, "plan: %w", refused), fault.Invalid},
		{"joined_with_foreign", errors.Join(io.EOF, refused), fault.Refused},
		{"first_of_joined", errors.Join(fault.New(fault.NotFound, "no model"), refused), fault.NotFound},
		{"second_of_two_wrapped", fault.New(fault.Conflict, "%w and %w", io.EOF, refused), fault.Conflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fault.KindOf(tt.err); got != tt.want {
				t.Errorf("kind is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNewKeepsCauses(t *testing.T) {
	err := fault.New(fault.Incomplete, "read %s: %w and %w", "a", io.EOF, io.ErrShortWrite)
	if want := "read a: EOF and short write"; err.Error() != want {
		t.Errorf("text is %q, want %q", err, want)
	}
	for _, cause := range []error{io.EOF, io.ErrShortWrite} {
		if !errors.Is(err, cause) {
			t.Errorf("%v is no cause of %v", cause, err)
		}
	}
	if one := fault.New(fault.Invalid, "read: %w", io.EOF); !errors.Is(one, io.EOF) {
		t.Errorf("io.EOF is no cause of %v", one)
	}
	if none := fault.New(fault.Invalid, "read: %v", io.EOF); errors.Unwrap(none) != nil {
		t.Errorf("%v has a cause that it was not given", none)
	}
}

func TestHintOf(t *testing.T) {
	plain := fault.New(fault.Refused, "gate shut")
	hinted := plain.WithHint("seal first: %s", "assess")
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"foreign", io.EOF, ""},
		{"none", plain, ""},
		{"itself", hinted, "seal first: assess"},
		{"wrapped", fmt.Errorf("isolate: %w", hinted), "seal first: assess"},
		{"below_one_without", fault.New(fault.Invalid, "plan: %w", hinted), "seal first: assess"},
		{"outermost_counts", fault.New(fault.Invalid, "plan: %w", hinted).WithHint("plan anew"), "plan anew"},
		{"joined_behind_one_without", errors.Join(io.EOF, plain, hinted), "seal first: assess"},
		{"one_of_two_wrapped", fault.New(fault.Invalid, "%w and %w", plain, hinted), "seal first: assess"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fault.HintOf(tt.err); got != tt.want {
				t.Errorf("hint is %q, want %q", got, tt.want)
			}
		})
	}
	if plain.Hint != "" {
		t.Error("WithHint changed what it was called on")
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := fault.Internal; k <= fault.Refused; k++ {
		if seen[k.String()] {
			t.Errorf("kind %d is called %q like another", k, k)
		}
		seen[k.String()] = true
	}
}
