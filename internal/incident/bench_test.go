package incident_test

import (
	"fmt"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// BenchmarkFold is over entries of the kind that long incidents mostly have.
func BenchmarkFold(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			entries := make([]evidence.Entry, 0, n)
			var prev artifact.Digest
			for i := range n {
				d := evidence.Draft{Time: noon, Actor: "user@host", Kind: incident.KindSealed, Body: evidence.Item{
					Type: "model_file", Name: "model.safetensors", Origin: "/srv/models/m/model.safetensors", SHA256: artifact.SHA256Of(nil), CollectedAt: noon,
				}}
				if i == 0 {
					d.Kind, d.Body = incident.KindOpened, incident.Opened{Models: []string{"m"}, Severity: finding.High}
				}
				e, err := evidence.Seal(logName, uint64(i+1), prev, d)
				if err != nil {
					b.Fatal(err)
				}
				prev = e.Hash()
				entries = append(entries, e)
			}
			for b.Loop() {
				if _, err := incident.Fold(entries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
