package trainer

import (
	"os/exec"
	"strings"
	"testing"
)

// The import law: what runs models never sees what trains them, and the packages of the
// trainer stand in the order of the data.
func TestImportLaw(t *testing.T) {
	const module = "github.com/quarterturn/quarterturn/"
	const numerics = "gorgonia.org gonum.org"
	const training = "/msgpack quarterturn/trainer " + numerics
	const loop = " quarterturn/trainer$ quarterturn/trainer/graph quarterturn/trainer/experiments"
	for pkg, forbidden := range map[string]string{
		"format":             training + " fmt reflect quarterturn/sla quarterturn/host",
		"sla":                training + " fmt reflect quarterturn/host",
		"host":               training,
		"www":                training + " quarterturn/host",
		"cmd/internal/score": numerics + " /msgpack" + loop,

		"trainer/dataset":  numerics + " quarterturn/trainer/batch quarterturn/trainer/evaluate" + loop,
		"trainer/batch":    "gorgonia.org quarterturn/trainer/evaluate quarterturn/trainer/optim" + loop,
		"trainer/optim":    numerics + " quarterturn/trainer/batch quarterturn/trainer/evaluate quarterturn/sla quarterturn/host" + loop,
		"trainer/evaluate": numerics + " quarterturn/trainer/batch quarterturn/trainer/optim" + loop,
		"trainer/fewshot":  "gorgonia.org quarterturn/trainer/batch quarterturn/trainer/optim" + loop,
		"trainer/report":   "gorgonia.org" + loop,
		"trainer/nets":     numerics + " quarterturn/sla quarterturn/host quarterturn/trainer/",
		"trainer/start":    "gorgonia.org quarterturn/trainer/optim quarterturn/trainer/loss" + loop,
		"trainer/loss":     "quarterturn/trainer/nets quarterturn/trainer/start quarterturn/trainer/batch quarterturn/trainer/optim" + loop,
		"trainer/graph":    "quarterturn/trainer/report quarterturn/trainer$ quarterturn/trainer/experiments",
	} {
		out, err := exec.Command("go", "list", "-deps", module+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if dep == module+pkg {
				continue
			}
			for _, f := range strings.Fields(forbidden) {
				if dep == f || strings.ContainsAny(f, "/.") && strings.Contains(dep+"$", f) {
					t.Errorf("%s imports %s", pkg, dep)
				}
			}
		}
	}
}
