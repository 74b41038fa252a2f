package notify

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Secret is a value that is not shown: written out, or better named by a file
// or an environment variable. It is read each time it is used, so that it may
// be renewed while the program runs. Printed in any way it is "(secret)".
type Secret struct{ inline, file, env string }

// Inline returns a secret that is written out.
func Inline(value string) Secret { return Secret{inline: value} }

// FromFile returns a secret that is the content of a file, without the end of
// its line.
func FromFile(path string) Secret { return Secret{file: path} }

// FromEnv returns a secret that is the value of an environment variable.
func FromEnv(name string) Secret { return Secret{env: name} }

// Given reports whether there is a secret at all.
func (s Secret) Given() bool { return s != Secret{} }

// Written returns the value where it is written out: only for checks of its form.
func (s Secret) Written() (value string, ok bool) { return s.inline, s.inline != "" }

const shownSecret = "(secret)"

// String hides the value.
func (s Secret) String() string { return shownSecret }

// GoString hides the value.
func (s Secret) GoString() string { return shownSecret }

// LogValue hides the value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(shownSecret) }

// MarshalText hides the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(shownSecret), nil }

// Equal lets tests compare.
func (s Secret) Equal(t Secret) bool { return s == t }

// maxSecret bounds a file that holds one.
const maxSecret = 64 << 10

// Read returns the value.
func (s Secret) Read(w World) (string, error) {
	switch {
	case s.file != "":
		return readSecret(s.file)
	case s.env != "":
		value := w.Getenv(s.env)
		if value == "" {
			return "", fmt.Errorf("the environment variable %q is not set", s.env)
		}
		return value, nil
	default:
		return s.inline, nil
	}
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" || len(data) > maxSecret || strings.ContainsAny(value, "\r\n\x00") {
		return "", fmt.Errorf("read secret: %q does not hold one line", path)
	}
	return value, nil
}
