package notify

import (
	"errors"
	"net/url"
)

// URL checks the form of an address that is written out. The words do not show
// it: its path is often a secret.
func URL(key string, s Secret, required bool) string {
	value, written := s.Written()
	switch {
	case !s.Given() && required:
		return key + " is missing"
	case !written:
		return ""
	case CheckURL(value) != nil:
		return key + ": " + CheckURL(value).Error()
	}
	return ""
}

// CheckURL refuses what is no http or https URL with a host.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("want an http or https URL with a host")
	}
	return nil
}

// Need returns what to say where a value is missing.
func Need(key string, given bool) string {
	if given {
		return ""
	}
	return key + " is missing"
}
