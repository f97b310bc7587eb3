package host

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"

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

// modelName is what KServe calls a slab, unless it asks for it under its alias.
func modelName(m *format.Model) string { return cmp.Or(m.Name, "slab") }

// modelVersion names the very slab.
func modelVersion(m *format.Model) string { return format.Hex(m.Hash[:8]) }

// model returns the model that an address names. Answers call it as the address does.
func (s *Service) model(r *http.Request) (*format.Model, error) {
	c := s.classifier.Load()
	if c == nil {
		return nil, errNoModel
	}
	m := c.Model()
	name, version := r.PathValue("name"), r.PathValue("version")
	if name != modelName(m) && name != s.config.alias || version != "" && version != modelVersion(m) {
		known := strconv.Quote(modelName(m))
		if s.config.alias != "" {
			known = strconv.Quote(s.config.alias) + " or " + known
		}
		asked := quote(name)
		if version != "" {
			asked += " of version " + quote(version)
		}
		return nil, &httpError{http.StatusNotFound, "not-found", "there is no model " + asked + "; this is " + known + " of version " + modelVersion(m)}
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
		"name": r.PathValue("name"), "versions": []string{modelVersion(m)}, "platform": "quarterturn_slab",
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
	_, err := s.model(r)
	if err == nil {
		err = s.ready()
	}
	if err != nil {
		s.failKServe(w, err)
		return
	}
	s.sendJSON(w, http.StatusOK, map[string]any{"name": r.PathValue("name"), "ready": true})
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
	text, err := q.whole()
	if err != nil {
		return nil, err
	}
	var blob []byte
	h, err := q.header(binaryHeader)
	if err != nil {
		return nil, err
	}
	if h != "" {
		n, err := strconv.Atoi(h)
		if err != nil || n < 0 || n > len(text) {
			return nil, badBody("%s is %s for a body of %d bytes", binaryHeader, quote(h), len(text))
		}
		text, blob = text[:n], text[n:]
	}
	j := &job{infer: &inferRequest{}}
	j.parse = func() error { return q.parseInfer(j, text, blob) }
	return j, nil
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
	outputs := j.infer.outputs
	if len(outputs) == 0 {
		for _, name := range outputNames {
			outputs = append(outputs, inferOutput{name: name})
		}
	}
	v := inferResponse{ModelName: q.r.PathValue("name"), ModelVersion: modelVersion(m), ID: j.infer.id,
		Parameters: map[string]any{"mode": results[0].prediction.Mode.String()}}
	var blob []byte
	for _, o := range outputs {
		t, raw := outputTensor(o, results, m.Labels)
		binary := j.infer.binary
		if o.binary != nil {
			binary = *o.binary
		}
		if binary {
			t.Data, t.Parameters = nil, map[string]any{"binary_data_size": len(raw)}
			blob = append(blob, raw...)
		}
		v.Outputs = append(v.Outputs, t)
	}
	head, err := json.Marshal(v)
	if err != nil {
		return q.s.failKServe(q.w, err)
	}
	if blob == nil {
		return q.s.send(q.w, http.StatusOK, "application/json", append(head, '\n'))
	}
	q.w.Header().Set(binaryHeader, itoa(len(head)))
	return q.s.send(q.w, http.StatusOK, "application/octet-stream", append(head, blob...))
}

// outputTensor returns an output as JSON and as a binary tensor.
func outputTensor(o inferOutput, results []result, labels []string) (tensor, []byte) {
	n := len(results)
	if o.name == "label" {
		var list []string
		for _, r := range results {
			list = append(list, labels[sla.Top(r.prediction.Logits, 1)[0]])
		}
		return textTensor(o.name, list, n), textBytes(list)
	}
	if o.name == "passes" {
		list, raw := []int{}, []byte{}
		for _, r := range results {
			list = append(list, r.prediction.Passes)
			raw = binary.LittleEndian.AppendUint32(raw, uint32(r.prediction.Passes))
		}
		return tensor{Name: o.name, DataType: "INT32", Shape: []int{n}, Data: list}, raw
	}
	values := func(p *Prediction) []float32 {
		if o.name == "logits" {
			return p.Logits
		}
		return p.Probabilities
	}
	if o.classes > 0 {
		each := min(o.classes, len(labels))
		var list []string
		for _, r := range results {
			for _, i := range sla.Top(r.prediction.Logits, each) {
				list = append(list, strconv.FormatFloat(float64(values(r.prediction)[i]), 'g', -1, 32)+":"+itoa(i)+":"+labels[i])
			}
		}
		return textTensor(o.name, list, n, each), textBytes(list)
	}
	list := []float32{}
	for _, r := range results {
		list = append(list, values(r.prediction)...)
	}
	return tensor{Name: o.name, DataType: "FP32", Shape: []int{n, len(labels)}, Data: list}, sla.AppendBits(nil, list)
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
