package www

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// The slab that comes with the program gives the bits it was sealed with, and its
// card is about that slab.
func TestModelAndItsCard(t *testing.T) {
	m, err := format.Decode(Model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SelfTest(); err != nil {
		t.Error(err)
	}
	card, err := os.ReadFile("models/README.md")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{format.Hex(m.Hash[:]), m.Provenance.Data, m.Provenance.Net, fmt.Sprintf("seed %d", m.Provenance.Seed)}
	for _, x := range m.Metrics {
		wanted = append(wanted, fmt.Sprintf("| %s | %d | %.2f |", x.Mode, m.Passes(x.Mode), 100*x.Accuracy))
	}
	for _, w := range wanted {
		if !strings.Contains(string(card), w) {
			t.Errorf("the card does not say %q", w)
		}
	}
}
