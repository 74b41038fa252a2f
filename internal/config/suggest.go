package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// suggest returns what to append to "unknown key": the nearest known key, or
// all of them when none is near.
func suggest[T any](key string, known map[string]T) string {
	names := slices.Sorted(maps.Keys(known))
	best, least := "", len(key)/3+2
	for _, name := range names {
		if d := distance(key, name, least); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return "; known are " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance returns the number of single-letter edits between a and b, or
// something not below limit as soon as there are that many.
func distance(a, b string, limit int) int {
	if diff := len(a) - len(b); diff >= limit || -diff >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
