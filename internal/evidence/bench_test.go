package evidence_test

import (
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
)

func BenchmarkParseEntry(b *testing.B) {
	e, err := evidence.Seal("INC-20260301-AAAAAAAA", 7, artifact.SHA256Of(nil), evidence.Draft{
		Time: noon, Actor: "user@host", Kind: "evidence_sealed", Body: evidence.Item{
			Type: "model_file", Name: "model-00001-of-00004.safetensors", Origin: "/srv/models/sentiment/model-00001-of-00004.safetensors",
			SHA256: artifact.SHA256Of(nil), Size: 1 << 32, CollectedAt: noon,
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := evidence.ParseEntry(e.Raw()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenCheckpoint(b *testing.B) {
	s := grow(b, ours, "a", 1, 1, "text")
	for b.Loop() {
		if _, err := evidence.OpenCheckpoint(s.Notes[0], ours.Public()); err != nil {
			b.Fatal(err)
		}
	}
}
