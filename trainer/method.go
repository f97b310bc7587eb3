package trainer

import (
	"fmt"
	"strings"

	"github.com/quarterturn/quarterturn/format"
)

// A method is an objective: which heads are trained, on which labels.
type method struct {
	name    string
	views   bool // the batch holds every view of an image, not the image alone
	heads   []trainHead
	distils bool // a further head is taught by the joint one
}

// A trainHead is a classifier with a cross-entropy loss; export names the head
// of the slab that it becomes, or is empty for one that only helps training.
type trainHead struct {
	labels labelKind
	export string
}

// joint says whether a head has joint labels.
func (m *method) joint() bool { return m.heads[0].labels == jointLabels }

var methods = []method{
	{"baseline", false, []trainHead{{classLabels, format.HeadClass}}, false},
	{"da", true, []trainHead{{classLabels, format.HeadClass}}, false},
	{"mt", true, []trainHead{{classLabels, format.HeadClass}, {viewLabels, ""}}, false},
	{"sla", true, []trainHead{{jointLabels, format.HeadJoint}}, false},
	{"sla+sd", true, []trainHead{{jointLabels, format.HeadJoint}}, true},
}

func parseMethod(name string) (method, error) {
	var names []string
	for _, m := range methods {
		if m.name == name {
			return m, nil
		}
		names = append(names, m.name)
	}
	return method{}, fmt.Errorf("method %q: want %s", name, strings.Join(names, ", "))
}
