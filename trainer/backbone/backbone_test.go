package backbone

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
)

// The slab is one that a page can load, and its card is about it.
func TestSlabAndItsCard(t *testing.T) {
	if len(Slab) > 3<<20 {
		t.Errorf("%d bytes", len(Slab))
	}
	m, err := format.Decode(Slab)
	if err != nil {
		t.Fatal(err)
	}
	card, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("%x", sha256.Sum256(Slab)), m.Provenance.Net, fmt.Sprintf("%d kinds of things", m.Classes()),
		fmt.Sprintf("%dx%d\n", m.Input.Width, m.Input.Height), fmt.Sprintf("| %.2f |", 100*m.Metrics[0].Accuracy),
	} {
		if !strings.Contains(string(card), want) {
			t.Errorf("the card does not say %q", want)
		}
	}
}
