//go:build unix

package file

import "syscall"

// noFollow refuses a link in the place of the file, and does not wait for the
// other end of a pipe.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
