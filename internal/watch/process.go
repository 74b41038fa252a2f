package watch

import "time"

// Process is who did something, as far as it could be found out: of one that
// ended at once only the number is left.
type Process struct {
	PID  int       `json:"pid"`
	Time time.Time `json:"time"`
	// Executable is the path of the program, Command its own name for itself.
	Executable string `json:"executable,omitempty"`
	Command    string `json:"command,omitempty"`
	// UID is -1 when it is not known.
	UID  int    `json:"uid"`
	User string `json:"user,omitempty"`
	// Container is the id of the container, from the control group.
	Container string `json:"container,omitempty"`
}
