//go:build unix

package program

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the end of the time end also what the program has started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
