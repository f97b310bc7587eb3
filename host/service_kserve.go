package host

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// This file speaks version 2 of the inference protocol of KServe and Triton over REST
// (https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol),
// with Triton's extensions for binary tensors and for classification. A model has one
// input, image: BYTES of shape (N), each an image file, which in JSON is base64.

// binaryHeader says how many bytes of JSON come before binary tensors.
const binaryHeader = "Inference-Header-Content-Length"

// A tensor is one of a request or of an answer.
type tensor struct {
	Name       string         `json:"name"`
	DataType   string         `json:"datatype,omitempty"`
	Shape      []int          `json:"shape,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
	Data       any            `json:"data,omitempty"`
}

type inferRequest struct {
	ID         string         `json:"id"`
	Parameters map[string]any `json:"parameters"`
	Inputs     []struct {
		tensor
		Data json.RawMessage `json:"data"`
	} `json:"inputs"`
	Outputs []tensor `json:"outputs"`
}

type inferResponse struct {
	ModelName    string         `json:"model_name"`
	ModelVersion string         `json:"model_version"`
	ID           string         `json:"id,omitempty"`
	Parameters   map[string]any `json:"parameters,omitempty"`
	Outputs      []tensor       `json:"outputs"`
}

func (s *Service) routeKServe() {
	for _, path := range []string{"GET /v2", "GET /v2/{$}"} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			s.sendJSON(w, http.StatusOK, map[string]any{"name": "quarterturn", "version": "2", "extensions": []string{"binary_tensor_data", "classification"}})
		})
	}
	s.mux.HandleFunc("GET /v2/health/live", func(w http.ResponseWriter, _ *http.Request) {
		s.sendJSON(w, http.StatusOK, map[string]bool{"live": true})
	})
	s.mux.HandleFunc("GET /v2/health/ready", func(w http.ResponseWriter, _ *http.Request) {
		if s.ready() != nil {
			s.sendJSON(w, http.StatusServiceUnavailable, map[string]bool{"ready": false})
			return
		}
		s.sendJSON(w, http.StatusOK, map[string]bool{"ready": true})
	})
	for _, version := range []string{"", "/versions/{version}"} {
		s.mux.HandleFunc("GET /v2/models/{name}"+version, s.modelMetadata)
		s.mux.HandleFunc("GET /v2/models/{name}"+version+"/ready", s.modelReady)
		s.mux.HandleFunc("POST /v2/models/{name}"+version+"/infer", s.inference(inferEndpoint))
	}
}

// modelName is what KServe calls a slab.
func modelName(m *format.Model) string { return cmp.Or(m.Name, "slab") }

// modelVersion names the very slab.
func modelVersion(m *format.Model) string { return format.Hex(m.Hash[:8]) }

// model returns the model that an address names.
func (s *Service) model(r *http.Request) (*format.Model, error) {
	c := s.classifier.Load()
	if c == nil {
		return nil, errNoModel
	}
	m := c.Model()
	name, version := r.PathValue("name"), r.PathValue("version")
	if name != modelName(m) || version != "" && version != modelVersion(m) {
		return nil, &httpError{http.StatusNotFound, "not-found",
			"there is no model " + strconv.Quote(strings.TrimSuffix(name+"/"+version, "/")) + "; this is " + strconv.Quote(modelName(m)+"/"+modelVersion(m))}
	}
	return m, nil
}

func (s *Service) modelMetadata(w http.ResponseWriter, r *http.Request) {
	m, err := s.model(r)
	if err != nil {
		s.failKServe(w, err)
		return
	}
	classes := len(m.Labels)
	s.sendJSON(w, http.StatusOK, map[string]any{
		"name": modelName(m), "versions": []string{modelVersion(m)}, "platform": "quarterturn_slab",
		"inputs": []tensor{{Name: "image", DataType: "BYTES", Shape: []int{-1}}},
		"outputs": []tensor{
			{Name: "label", DataType: "BYTES", Shape: []int{-1}},
			{Name: "probabilities", DataType: "FP32", Shape: []int{-1, classes}},
			{Name: "logits", DataType: "FP32", Shape: []int{-1, classes}},
			{Name: "passes", DataType: "INT32", Shape: []int{-1}},
		},
	})
}

func (s *Service) modelReady(w http.ResponseWriter, r *http.Request) {
	m, err := s.model(r)
	if err == nil {
		err = s.ready()
	}
	if err != nil {
		s.failKServe(w, err)
		return
	}
	s.sendJSON(w, http.StatusOK, map[string]any{"name": modelName(m), "ready": true})
}

// failKServe sends an error in the form of the protocol and returns the status that was
// sent.
func (s *Service) failKServe(w http.ResponseWriter, err error) int {
	e := s.explain(err)
	return s.sendJSON(w, e.status, map[string]string{"error": e.message})
}

// inferEndpoint is POST /v2/models/NAME/infer.
var inferEndpoint = endpoint{
	read: (*request).readInfer,
	send: (*request).sendInfer,
	fail: func(q *request, err error) int { return q.s.failKServe(q.w, err) },
}

func (q *request) readInfer() (*job, error) {
	if _, err := q.s.model(q.r); err != nil {
		return nil, err
	}
	if q.r.URL.RawQuery != "" {
		return nil, badParameter("this address takes no query; the mode is a parameter of the request")
	}
	if _, _, err := q.contentType(); err != nil {
		return nil, err
	}
	b, err := q.whole()
	if err != nil {
		return nil, err
	}
	var blob []byte
	if h := q.r.Header.Get(binaryHeader); h != "" {
		n, err := strconv.Atoi(h)
		if err != nil || n < 0 || n > len(b) {
			return nil, badBody("%s is %q for a body of %d bytes", binaryHeader, h, len(b))
		}
		b, blob = b[:n], b[n:]
	}
	j := &job{infer: &inferRequest{}}
	if err := json.Unmarshal(b, j.infer); err != nil {
		return nil, badBody("the JSON cannot be read: %v", err)
	}
	if j.mode, err = q.inferMode(j.infer); err != nil {
		return nil, err
	}
	j.images, err = q.inferImages(j.infer, blob)
	return j, err
}

// inferMode reads the parameters of a request.
func (q *request) inferMode(v *inferRequest) (mode sla.Mode, err error) {
	for name, p := range v.Parameters {
		switch text, isText := p.(string); {
		case name == "mode" && isText:
			if mode, err = q.mode(text); err != nil {
				return 0, err
			}
		case name == "binary_data_output":
		default:
			return 0, badParameter("the parameter %q is not known, or not of its type; there are mode and binary_data_output", name)
		}
	}
	for _, o := range v.Outputs {
		switch o.Name {
		case "label", "probabilities", "logits", "passes":
		default:
			return 0, badParameter("there is no output %q; there are label, probabilities, logits and passes", o.Name)
		}
	}
	return mode, nil
}

// inferImages returns the files of the input.
func (q *request) inferImages(v *inferRequest, blob []byte) ([][]byte, error) {
	if len(v.Inputs) != 1 || v.Inputs[0].Name != "image" || v.Inputs[0].DataType != "BYTES" {
		return nil, badBody(`there is one input: "image", of datatype BYTES, an image file for each element`)
	}
	in := v.Inputs[0]
	n := 1
	for _, d := range in.Shape {
		if d < 0 || d > q.s.config.maxBatch || n*d > q.s.config.maxBatch {
			return nil, badBody("the shape %v is of more than %d images", in.Shape, q.s.config.maxBatch)
		}
		n *= d
	}
	if len(in.Shape) == 0 || len(in.Shape) > 4 || n == 0 {
		return nil, badBody("the shape %v is of no images; it is to be (N)", in.Shape)
	}
	var files [][]byte
	if size, ok := in.Parameters["binary_data_size"].(float64); ok {
		if size != float64(len(blob)) {
			return nil, badBody("binary_data_size is %v where %d bytes follow the JSON", size, len(blob))
		}
		var err error
		if files, err = splitBytes(blob); err != nil {
			return nil, err
		}
	} else {
		list, err := texts(in.Data, len(in.Shape), nil)
		if err != nil {
			return nil, badBody("data is to be a list of image files in base64: %v", err)
		}
		for i, text := range list {
			file, err := q.base64(text)
			if err != nil {
				return nil, badBody("image %d: %v", i, err)
			}
			files = append(files, file)
		}
	}
	if len(files) != n {
		return nil, badBody("there are %d images, and the shape is %v", len(files), in.Shape)
	}
	return files, nil
}

// texts appends the strings of a tensor's data, which is a list, or lists in lists as deep
// as its shape. No deeper: every level is read again.
func texts(data json.RawMessage, depth int, list []string) ([]string, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(data, &elements); err != nil {
		return nil, err
	}
	for _, e := range elements {
		var err error
		if depth > 1 && bytes.HasPrefix(e, []byte("[")) {
			list, err = texts(e, depth-1, list)
		} else {
			var text string
			err = json.Unmarshal(e, &text)
			list = append(list, text)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// splitBytes reads a binary tensor of BYTES: each element after its length.
func splitBytes(blob []byte) ([][]byte, error) {
	var files [][]byte
	for len(blob) > 0 {
		if len(blob) < 4 || uint64(binary.LittleEndian.Uint32(blob)) > uint64(len(blob)-4) {
			return nil, badBody("element %d of the binary tensor is longer than what is left of it", len(files))
		}
		n := 4 + int(binary.LittleEndian.Uint32(blob))
		files = append(files, blob[4:n])
		blob = blob[n:]
	}
	return files, nil
}

func (q *request) sendInfer(j *job, results []result) int {
	m := results[0].model
	for i, r := range results {
		if r.err == nil && r.model == m {
			continue
		}
		if r.err == nil {
			r.err = errSwapped
		}
		e := *q.s.explain(r.err)
		if len(results) > 1 {
			e.message = "image " + itoa(i) + ": " + e.message
		}
		return q.s.failKServe(q.w, &e)
	}
	outputs := j.infer.Outputs
	if len(outputs) == 0 {
		outputs = []tensor{{Name: "label"}, {Name: "probabilities"}, {Name: "logits"}, {Name: "passes"}}
	}
	v := inferResponse{ModelName: modelName(m), ModelVersion: modelVersion(m), ID: j.infer.ID,
		Parameters: map[string]any{"mode": results[0].prediction.Mode.String()}}
	var blob []byte
	for _, o := range outputs {
		t, raw, err := outputTensor(o, results, m.Labels)
		if err != nil {
			return q.s.failKServe(q.w, err)
		}
		inBinary, asked := o.Parameters["binary_data"].(bool)
		if all, _ := j.infer.Parameters["binary_data_output"].(bool); inBinary || all && !asked {
			t.Data, t.Parameters = nil, map[string]any{"binary_data_size": len(raw)}
			blob = append(blob, raw...)
		}
		v.Outputs = append(v.Outputs, t)
	}
	if blob == nil {
		return q.s.sendJSON(q.w, http.StatusOK, v)
	}
	head, err := json.Marshal(v)
	if err != nil {
		return q.s.failKServe(q.w, err)
	}
	q.w.Header().Set(binaryHeader, itoa(len(head)))
	return q.s.send(q.w, http.StatusOK, "application/octet-stream", append(head, blob...))
}

// outputTensor returns an output as JSON and as a binary tensor.
func outputTensor(o tensor, results []result, labels []string) (tensor, []byte, error) {
	n := len(results)
	if o.Name == "label" {
		var list []string
		for _, r := range results {
			list = append(list, labels[sla.Top(r.prediction.Logits, 1)[0]])
		}
		return textTensor(o.Name, list, n), textBytes(list), nil
	}
	if o.Name == "passes" {
		list, raw := []int{}, []byte{}
		for _, r := range results {
			list = append(list, r.prediction.Passes)
			raw = binary.LittleEndian.AppendUint32(raw, uint32(r.prediction.Passes))
		}
		return tensor{Name: o.Name, DataType: "INT32", Shape: []int{n}, Data: list}, raw, nil
	}
	values := func(p *Prediction) []float32 {
		if o.Name == "logits" {
			return p.Logits
		}
		return p.Probabilities
	}
	if k, ok := o.Parameters["classification"]; ok { // Triton's extension: the first k classes
		count, ok := k.(float64)
		if !ok || count < 1 || count != math.Trunc(count) {
			return tensor{}, nil, badParameter("classification is to be a number of classes, not %v", k)
		}
		each := int(min(count, float64(len(labels))))
		var list []string
		for _, r := range results {
			for _, i := range sla.Top(r.prediction.Logits, each) {
				list = append(list, strconv.FormatFloat(float64(values(r.prediction)[i]), 'g', -1, 32)+":"+itoa(i)+":"+labels[i])
			}
		}
		return textTensor(o.Name, list, n, each), textBytes(list), nil
	}
	list := []float32{}
	for _, r := range results {
		list = append(list, values(r.prediction)...)
	}
	return tensor{Name: o.Name, DataType: "FP32", Shape: []int{n, len(labels)}, Data: list}, sla.AppendBits(nil, list), nil
}

func textTensor(name string, list []string, shape ...int) tensor {
	return tensor{Name: name, DataType: "BYTES", Shape: shape, Data: list}
}

// textBytes is a list as a binary tensor.
func textBytes(list []string) []byte {
	var raw []byte
	for _, s := range list {
		raw = append(binary.LittleEndian.AppendUint32(raw, uint32(len(s))), s...)
	}
	return raw
}
