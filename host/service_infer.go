package host

import (
	"encoding/binary"
	"slices"
	"strings"
)

// An inferRequest is what a request of KServe's protocol asks for, but for its images and
// its mode.
type inferRequest struct {
	id      string
	binary  bool // whether outputs are binary tensors that do not say what they are
	outputs []inferOutput
}

// An inferOutput is an output that is asked for.
type inferOutput struct {
	name    string
	classes int   // the first so many; 0: the tensor itself
	binary  *bool // nil: as the request says
}

// outputNames are the outputs there are, in the order in which they are sent.
var outputNames = []string{"label", "probabilities", "logits", "passes"}

// maxID is the longest id, in bytes of JSON: it comes back in the answer.
const maxID = 1024

var errOneInput = badBody(`there is one input: "image", of datatype BYTES, an image file for each element`)

// parseInfer reads the JSON of a request and the binary tensors behind it into a job.
// Fields that are not the protocol's say nothing.
func (q *request) parseInfer(j *job, text, blob []byte) error {
	v, err := parseJSON(text)
	if err == nil {
		err = v.noneTwice("id", "parameters", "outputs", "inputs")
	}
	if err != nil {
		return err
	}
	var input jsonValue
	for name, member := range v.members() {
		if member.isNull() {
			continue
		}
		switch strings.ToLower(name) { // as encoding/json takes them
		case "id":
			ok := len(member) <= maxID
			if ok {
				j.infer.id, ok = member.text()
			}
			if !ok {
				return badBody("id is to be text of at most %d bytes, not %v", maxID, member)
			}
		case "parameters":
			err = q.inferParameters(j, member)
		case "outputs":
			j.infer.outputs, err = inferOutputs(member)
		case "inputs":
			input = nil
			for e := range member.elements() {
				if input != nil {
					return errOneInput
				}
				input = e
			}
		}
		if err != nil {
			return err
		}
	}
	if input == nil {
		return errOneInput
	}
	return q.inferImages(j, input, blob)
}

// inferParameters reads the parameters of a request.
func (q *request) inferParameters(j *job, v jsonValue) error {
	if !v.isObject() {
		return badParameter("parameters are to be an object, not %v", v)
	}
	if err := v.noneTwice("mode", "binary_data_output"); err != nil {
		return err
	}
	for name, p := range v.members() {
		ok := false
		switch name {
		case "mode":
			var text string
			if text, ok = p.text(); ok {
				var err error
				if j.mode, err = q.mode(text); err != nil {
					return err
				}
			}
		case "binary_data_output":
			j.infer.binary, ok = p.flag()
		default:
			return badParameter("the parameter %s is not known; there are mode, a text, and binary_data_output, true or false", quote(name))
		}
		if !ok {
			return badParameter("the parameter %q is %v; mode is to be a text, and binary_data_output true or false", name, p)
		}
	}
	return nil
}

// inferOutputs reads which outputs are asked for, each once.
func inferOutputs(v jsonValue) (list []inferOutput, err error) {
	if !v.isList() {
		return nil, badParameter(`outputs are to be a list, such as [{"name": "label"}], not %v`, v)
	}
	for e := range v.elements() {
		var o inferOutput
		if err := e.noneTwice("name", "parameters"); err != nil {
			return nil, err
		}
		for name, member := range e.members() {
			switch strings.ToLower(name) {
			case "name":
				o.name, _ = member.text() // what is no text is no output's name
			case "parameters":
				if member.isNull() {
					continue
				}
				if err := o.parameters(member); err != nil {
					return nil, err
				}
			}
		}
		if !slices.Contains(outputNames, o.name) {
			return nil, badParameter("there is no output %s; there are %s", quote(o.name), strings.Join(outputNames, ", "))
		}
		if slices.ContainsFunc(list, func(other inferOutput) bool { return other.name == o.name }) {
			return nil, badParameter("the output %q is asked for twice", o.name)
		}
		list = append(list, o)
	}
	return list, nil
}

// parameters reads those of an output; what is not known says nothing.
func (o *inferOutput) parameters(v jsonValue) error {
	if !v.isObject() {
		return badParameter("the parameters of the output %s are to be an object, not %v", quote(o.name), v)
	}
	if err := v.noneTwice("binary_data", "classification"); err != nil {
		return err
	}
	for name, p := range v.members() {
		switch name {
		case "binary_data":
			on, ok := p.flag()
			if !ok {
				return badParameter("binary_data is to be true or false, not %v", p)
			}
			o.binary = &on
		case "classification": // Triton's extension: the first k classes
			k, ok := p.whole()
			if !ok || k < 1 {
				return badParameter("classification is to be a number of classes, not %v", p)
			}
			o.classes = k
		}
	}
	return nil
}

// inferImages finds the files of the input.
func (q *request) inferImages(j *job, v jsonValue, blob []byte) error {
	var name, datatype string
	var shape, size, data jsonValue
	if err := v.noneTwice("name", "datatype", "shape", "data", "parameters"); err != nil {
		return err
	}
	for field, member := range v.members() {
		switch strings.ToLower(field) {
		case "name":
			name, _ = member.text() // no text is no name
		case "datatype":
			datatype, _ = member.text()
		case "shape":
			shape = member
		case "data":
			data = member
		case "parameters":
			if !member.isNull() && !member.isObject() {
				return badParameter("the parameters of the input are to be an object, not %v", member)
			}
			if err := member.noneTwice("binary_data_size"); err != nil {
				return err
			}
			for parameter, p := range member.members() {
				if parameter == "binary_data_size" {
					size = p
				}
			}
		}
	}
	if name != "image" || datatype != "BYTES" {
		return errOneInput
	}
	sides, n, err := q.inferShape(shape)
	if err != nil {
		return err
	}
	if size == nil {
		if len(blob) > 0 {
			return badBody("%d bytes follow the JSON, and the input has no parameter binary_data_size", len(blob))
		}
		list, err := tensorElements(data, sides, n)
		if err != nil {
			return err
		}
		return q.base64List(j, list)
	}
	if !data.isNull() {
		return badBody("the input has data and binary_data_size; give one of them")
	}
	if count, ok := size.whole(); !ok || count != len(blob) {
		return badBody("binary_data_size is %v where %d bytes follow the JSON; it is to be that number", size, len(blob))
	}
	j.images, err = splitBytes(blob, n)
	return err
}

// inferShape reads the shape of the input, and how many images that are.
func (q *request) inferShape(v jsonValue) (sides []int, n int, err error) {
	if v.isNull() {
		return nil, 0, badBody("the input has no shape; it is to be (N)")
	}
	n = 1
	for e := range v.elements() {
		side, ok := e.whole()
		switch limit := q.s.config.maxBatch; {
		case !ok || side < 0:
			return nil, 0, badBody("the shape is to be of whole numbers, not of %v; (N) is N images", e)
		case len(sides) == 4:
			return nil, 0, badBody("the shape %v has more than 4 numbers; it is to be (N)", v)
		case side > limit || n*side > limit:
			return nil, 0, badBody("the shape %v is of more than %d images", v, limit)
		}
		sides, n = append(sides, side), n*side
	}
	if len(sides) == 0 || n == 0 {
		return nil, 0, badBody("the shape %v is of no images; it is to be (N)", v)
	}
	return sides, n, nil
}

// tensorElements returns the n elements of a tensor's data, which is a list, or lists in
// lists as its shape has them.
func tensorElements(data jsonValue, sides []int, n int) ([]jsonValue, error) {
	if data == nil || !data.isList() {
		return nil, badBody("data is to be a list of image files in base64")
	}
	if first, _ := data[1:].next(); first == nil || first[0] != '[' {
		sides = []int{n}
	}
	return appendElements(nil, data, sides)
}

// appendElements appends the elements of lists of such sides. Lists are no deeper than the
// shape: every level is read again.
func appendElements(list []jsonValue, v jsonValue, sides []int) ([]jsonValue, error) {
	if !v.isList() {
		return nil, badBody("data is not of its shape: there is %v where a list of %d is to be", v, sides[0])
	}
	n := 0
	for e := range v.elements() {
		if n++; n > sides[0] {
			return nil, badBody("data is not of its shape: there are more than %d images or lists in a list", sides[0])
		}
		if len(sides) == 1 {
			list = append(list, e)
			continue
		}
		var err error
		if list, err = appendElements(list, e, sides[1:]); err != nil {
			return nil, err
		}
	}
	if n < sides[0] {
		return nil, badBody("data is not of its shape: there are %d images or lists in a list, not %d", n, sides[0])
	}
	return list, nil
}

// splitBytes reads a binary tensor of n elements of BYTES: each after its length.
func splitBytes(blob []byte, n int) ([][]byte, error) {
	var files [][]byte
	for len(blob) > 0 {
		if len(files) == n {
			return nil, badBody("the binary tensor has more than %d elements, which its shape has", n)
		}
		if len(blob) < 4 || uint64(binary.LittleEndian.Uint32(blob)) > uint64(len(blob)-4) {
			return nil, badBody("element %d of the binary tensor is longer than what is left of it", len(files))
		}
		size := 4 + int(binary.LittleEndian.Uint32(blob))
		files = append(files, blob[4:size])
		blob = blob[size:]
	}
	if len(files) < n {
		return nil, badBody("the binary tensor has %d elements, and its shape has %d", len(files), n)
	}
	return files, nil
}
