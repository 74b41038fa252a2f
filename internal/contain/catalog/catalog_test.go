package catalog_test

import (
	"os"
	"testing"

	"github.com/weightwarden/weightwarden/internal/contain/catalog"
)

func TestEveryDriverIsListed(t *testing.T) {
	listed := map[string]bool{"catalog": true}
	names := map[string]bool{}
	drivers := catalog.All(nil)
	for _, d := range catalog.Cluster(nil, nil, nil) {
		drivers = append(drivers, d)
	}
	for _, d := range drivers {
		listed[d.Name()] = true
		if d.Name() == "" || names[d.Name()] {
			t.Errorf("driver name %q is empty or given twice", d.Name())
		}
		names[d.Name()] = true
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !listed[e.Name()] {
			t.Errorf("package %s is not in catalog.All", e.Name())
		}
	}
}
