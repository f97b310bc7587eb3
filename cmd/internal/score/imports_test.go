package score

import (
	"os/exec"
	"strings"
	"testing"
)

// The import law: scoring never sees what trains nor what talks to a store, and reads no kind of image by accident.
func TestImportLaw(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, forbidden := range []string{"gorgonia.org", "gonum.org", "quarterturn/trainer", "msgpack", "x/image/tiff", "x/image/bmp", "minio", "oauth2"} {
			if strings.Contains(dep, forbidden) {
				t.Errorf("score imports %s", dep)
			}
		}
	}
}
