package graph

import (
	"fmt"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/loss"
)

// A Method is an objective: which heads are trained, on which labels.
type Method struct {
	Name    string
	Views   bool // the batch holds every view of an image, not the image alone
	heads   []trainHead
	distils bool // a further head is taught by the joint one
}

// A trainHead is a classifier with a cross-entropy loss; export names the head
// of the slab that it becomes, or is empty for one that only helps training.
type trainHead struct {
	labels loss.Labels
	export string
}

// Joint says whether a head has joint labels.
func (m *Method) Joint() bool { return m.heads[0].labels == loss.JointLabels }

// The methods, after the SLA paper (Lee et al. 2020, section 3).
var methods = []Method{
	// Cross-entropy on the classes.
	{"baseline", false, []trainHead{{loss.ClassLabels, format.HeadClass}}, false},
	// Data augmentation: every view has the label of its image.
	{"da", true, []trainHead{{loss.ClassLabels, format.HeadClass}}, false},
	// Multi-task: one head learns the classes and another the transformations.
	{"mt", true, []trainHead{{loss.ClassLabels, format.HeadClass}, {loss.ViewLabels, ""}}, false},
	// Self-supervised label augmentation: one head learns (class, transformation).
	{"sla", true, []trainHead{{loss.JointLabels, format.HeadJoint}}, false},
	// SLA, and self-distillation of its aggregated answers into a head for one pass.
	{"sla+sd", true, []trainHead{{loss.JointLabels, format.HeadJoint}}, true},
}

// MethodHelp says what the methods are.
const MethodHelp = "baseline; da, data augmentation: every view has the class as its label; mt, multi-task: the class and the transformation, " +
	"each by a head; sla: joint labels of class and transformation; sla+sd: these, and self-distillation into a head for one pass"

// ParseMethod returns the method of a name.
func ParseMethod(name string) (Method, error) {
	for _, m := range methods {
		if m.Name == name {
			return m, nil
		}
	}
	return Method{}, fmt.Errorf("method %q: want %s", name, strings.Join(MethodNames(), ", "))
}

// MethodNames returns the names that ParseMethod takes.
func MethodNames() []string {
	var names []string
	for _, m := range methods {
		names = append(names, m.Name)
	}
	return names
}
