package layout

import "testing"

func TestServed(t *testing.T) {
	tests := []struct {
		path string
		want bool
	}{
		{"/mnt/models", true},
		{"/mnt/models/", true},
		{"/mnt/models/sub", true},
		{"/mnt/models2", false},
		{"/srv/mnt/models", false},
		{"models", false},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			if got := served(tt.path); got != tt.want {
				t.Errorf("served is %v", got)
			}
		})
	}
}
