//go:build linux && !amd64

package modeltest

// olderCalls are the forms without a directory, which only older machines have.
var olderCalls map[string][]uint32
