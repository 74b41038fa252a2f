package notify

import (
	"fmt"
	"net/http"
	"strings"
)

// Headers checks the names of headers.
func Headers(headers map[string]Secret) string {
	for name := range headers {
		if !headerName(name) {
			return fmt.Sprintf("headers: %.40q is no name of a header", name)
		}
	}
	return ""
}

func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// ReadHeaders returns the values, and what of them must not be told.
func ReadHeaders(headers map[string]Secret, w World) (h http.Header, secrets []string, err error) {
	h = http.Header{}
	for name, s := range headers {
		value, err := s.Read(w)
		if err != nil {
			return nil, nil, fmt.Errorf("header %q: %w", name, err)
		}
		h.Set(name, value)
		secrets = append(secrets, value)
	}
	return h, secrets, nil
}
