package host

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// inferAnswer is what a client of KServe's protocol reads.
type inferAnswer struct {
	Model      string         `json:"model_name"`
	Version    string         `json:"model_version"`
	ID         string         `json:"id"`
	Parameters map[string]any `json:"parameters"`
	Outputs    []struct {
		Name       string         `json:"name"`
		DataType   string         `json:"datatype"`
		Shape      []int          `json:"shape"`
		Parameters map[string]int `json:"parameters"`
		Data       any            `json:"data"`
	} `json:"outputs"`
	Error string `json:"error"`
}

// infer asks as Triton's own client does: JSON, then binary tensors, if there are any.
func (c *client) infer(path string, request map[string]any, blob []byte) (int, inferAnswer, []byte) {
	c.t.Helper()
	head, err := json.Marshal(request)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, c.server.URL+path, bytes.NewReader(append(head, blob...)))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if blob != nil {
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Header.Set("Inference-Header-Content-Length", strconv.Itoa(len(head)))
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if answer.Header.Get("Content-Type") == "application/json" {
		if err := c.check(r, answer.StatusCode, answer.Header, b); err != nil {
			c.t.Errorf("the answer is not as described: %v", err)
		}
	}
	var rest []byte
	if n := answer.Header.Get("Inference-Header-Content-Length"); n != "" {
		size, err := strconv.Atoi(n)
		if err != nil || size > len(b) {
			c.t.Fatalf("a header of %q for %d bytes", n, len(b))
		}
		b, rest = b[:size], b[size:]
	}
	var v inferAnswer
	if err := json.Unmarshal(b, &v); err != nil {
		c.t.Errorf("%v in %q", err, b)
	}
	return answer.StatusCode, v, rest
}

func elements(files [][]byte) (b []byte) {
	for _, f := range files {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

func TestFieldC47KServe(t *testing.T) {
	classifier := open(t, tinySlab(t, 3))
	c := newClient(t, NewService(classifier, WithMaxBatch(4)))
	m := classifier.Model()
	files := [][]byte{pngOf(t, noise(1, 9, 9)[0]), pngOf(t, noise(2, 30, 20)[1])}
	var want []*Prediction
	var logits []float32
	for _, f := range files {
		p, err := classifier.ClassifyFile(t.Context(), f, WithMode(Aggregated), WithTopK(2))
		if err != nil {
			t.Fatal(err)
		}
		want, logits = append(want, p), append(logits, p.Logits...)
	}
	for _, path := range []string{"/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/" + m.Name, "/v2/models/" + m.Name + "/ready"} {
		if status, _ := c.do(http.MethodGet, path, "", nil); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, got := c.do(http.MethodGet, "/v2/models/other", "", nil); status != http.StatusNotFound || !strings.Contains(got.Error.Message, m.Name) {
		t.Errorf("another model: %d %+v", status, got)
	}

	// In JSON, with base64.
	var texts []string
	for _, f := range files {
		texts = append(texts, base64.StdEncoding.EncodeToString(f))
	}
	input := map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{2}, "data": texts}
	request := map[string]any{"id": "7", "parameters": map[string]any{"mode": "aggregated"}, "inputs": []any{input}}
	path := "/v2/models/" + m.Name + "/infer"
	status, got, _ := c.infer(path, request, nil)
	if status != http.StatusOK || got.ID != "7" || got.Model != m.Name || got.Parameters["mode"] != "aggregated" || len(got.Outputs) != 4 {
		t.Fatalf("%d %+v", status, got)
	}
	for _, o := range got.Outputs {
		data := o.Data.([]any)
		switch o.Name {
		case "label":
			if data[0] != want[0].Top[0].Label || data[1] != want[1].Top[0].Label || !slices.Equal(o.Shape, []int{2}) {
				t.Errorf("labels %+v", o)
			}
		case "passes":
			if data[0] != float64(want[0].Passes) {
				t.Errorf("passes %+v", o)
			}
		case "logits":
			for i, v := range data {
				if float32(v.(float64)) != logits[i] {
					t.Errorf("logit %d: %v, want %v", i, v, logits[i])
				}
			}
			if !slices.Equal(o.Shape, []int{2, len(m.Labels)}) || o.DataType != "FP32" {
				t.Errorf("logits %+v", o)
			}
		}
	}

	// In binary, in and out, with the version; and the first classes, as Triton's clients ask.
	blob := elements(files)
	input = map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{2, 1}, "parameters": map[string]any{"binary_data_size": len(blob)}}
	request = map[string]any{"parameters": map[string]any{"mode": "aggregated", "binary_data_output": true}, "inputs": []any{input},
		"outputs": []any{map[string]any{"name": "logits"}, map[string]any{"name": "probabilities", "parameters": map[string]any{"classification": 2, "binary_data": false}}}}
	status, got, rest := c.infer("/v2/models/"+m.Name+"/versions/"+got.Version+"/infer", request, blob)
	if status != http.StatusOK || len(got.Outputs) != 2 || got.Outputs[0].Parameters["binary_data_size"] != 4*len(logits) || len(rest) != 4*len(logits) {
		t.Fatalf("%d %+v, %d bytes", status, got, len(rest))
	}
	for i, v := range logits {
		if bits := binary.LittleEndian.Uint32(rest[4*i:]); bits != math.Float32bits(v) {
			t.Errorf("logit %d: %x, want %x", i, bits, math.Float32bits(v))
		}
	}
	top := want[0].Top[1]
	if data := got.Outputs[1].Data.([]any); len(data) != 4 || data[1] != fmt.Sprintf("%v:%d:%s", top.Probability, top.Index, top.Label) {
		t.Errorf("the first classes: %+v", got.Outputs[1])
	}
}

// A slab has its own name and an alias, which stays when another one comes in its place.
func TestKServeAlias(t *testing.T) {
	classifier := open(t, tinySlab(t, 3))
	service := NewService(classifier, WithAlias("pets"))
	c := newClient(t, service)
	own := classifier.Model().Name
	input := map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{1}, "data": []string{base64.StdEncoding.EncodeToString(pngOf(t, noise(1, 9, 9)[0]))}}
	for _, name := range []string{own, "pets"} {
		at := "/v2/models/" + name
		for _, path := range []string{at, at + "/ready", at + "/versions/" + modelVersion(classifier.Model())} {
			if status, _ := c.do(http.MethodGet, path, "", nil); status != http.StatusOK {
				t.Errorf("%s: %d", path, status)
			}
		}
		if status, got, _ := c.infer(at+"/infer", map[string]any{"inputs": []any{input}}, nil); status != http.StatusOK || got.Model != name {
			t.Errorf("%s: %d %+v", name, status, got)
		}
	}
	for _, path := range []string{"/v2/models/pet", "/v2/models/pets/versions/1"} {
		if status, got := c.do(http.MethodGet, path, "", nil); status != http.StatusNotFound || !strings.Contains(got.Error.Message, `"pets" or "`+own+`"`) {
			t.Errorf("%s: %d %+v", path, status, got)
		}
	}
	service.Swap(open(t, tinySlab(t, 1)))
	if status, got := c.do(http.MethodGet, "/v2/models/pets", "", nil); status != http.StatusOK {
		t.Errorf("after a swap: %d %+v", status, got)
	}
}

// Of fields that are there twice it is unknown which are meant.
func TestFieldB33KServeFieldsTwice(t *testing.T) {
	classifier := open(t, tinySlab(t, 3))
	c := newClient(t, NewService(classifier))
	path := "/v2/models/" + classifier.Model().Name + "/infer"
	good := base64.StdEncoding.EncodeToString(pngOf(t, noise(1, 9, 9)[0]))
	input := `{"name":"image","datatype":"BYTES","shape":[1],"data":["` + good + `"]}`
	for field, body := range map[string]string{
		"inputs":           `{"inputs":[` + input + `],"inputs":[` + input + `]}`,
		"id":               `{"inputs":[` + input + `],"id":"a","ID":"b"}`,
		"mode":             `{"inputs":[` + input + `],"parameters":{"mode":"single","mode":"aggregated"}}`,
		"name":             `{"inputs":[` + input + `],"outputs":[{"name":"label","name":"logits"}]}`,
		"classification":   `{"inputs":[` + input + `],"outputs":[{"name":"label","parameters":{"classification":1,"classification":2}}]}`,
		"data":             `{"inputs":[` + strings.Replace(input, `"data"`, `"data":["AAAA"],"data"`, 1) + `]}`,
		"binary_data_size": `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":1,"binary_data_size":2}}]}`,
	} {
		r, err := c.server.Client().Post(c.server.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusBadRequest || !strings.Contains(string(b), `\"`+field+`\" twice`) {
			t.Errorf("%s: %d %s, %v", field, r.StatusCode, b, err)
		}
	}
}

func TestFieldC47KServeErrors(t *testing.T) {
	classifier := open(t, tinySlab(t, 3))
	c := newClient(t, NewService(classifier, WithMaxBatch(4)))
	path := "/v2/models/" + classifier.Model().Name + "/infer"
	good := base64.StdEncoding.EncodeToString(pngOf(t, noise(1, 9, 9)[0]))
	input := func(shape []int, data ...string) map[string]any {
		return map[string]any{"name": "image", "datatype": "BYTES", "shape": shape, "data": data}
	}
	with := func(m map[string]any, name string, value any) map[string]any {
		m[name] = value
		return m
	}
	request := func() map[string]any { return map[string]any{"inputs": []any{input([]int{1}, good)}} }
	one := func(in map[string]any, name string, value any) map[string]any {
		return map[string]any{"inputs": []any{with(in, name, value)}}
	}
	for _, x := range []struct {
		request map[string]any
		blob    []byte
		status  int
		says    string
	}{
		{map[string]any{"inputs": []any{input([]int{1}, good)}}, nil, 200, ""},
		{map[string]any{"inputs": []any{map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{2, 1}, "data": []any{[]any{good}, []any{good}}}}}, nil, 200, ""},
		{map[string]any{"inputs": []any{map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{1}, "data": []any{3}}}}, nil, 400, "base64, not 3"},
		{map[string]any{"inputs": []any{}}, nil, 400, "one input"},
		{map[string]any{"inputs": []any{map[string]any{"name": "pixels", "datatype": "FP32", "shape": []int{1}}}}, nil, 400, `"image"`},
		{map[string]any{"inputs": []any{input([]int{2}, good)}}, nil, 400, "1 images"},
		{map[string]any{"inputs": []any{input([]int{9}, good)}}, nil, 400, "more than 4"},
		{map[string]any{"inputs": []any{input([]int{-1}, good)}}, nil, 400, "shape"},
		{map[string]any{"inputs": []any{input([]int{4, 1 << 40, 1 << 40}, good)}}, nil, 400, "shape"},
		{map[string]any{"inputs": []any{input([]int{0})}}, nil, 400, "no images"},
		{map[string]any{"inputs": []any{input([]int{1}, "!")}}, nil, 400, "base64"},
		{map[string]any{"inputs": []any{input([]int{2}, good, "AAAA")}}, nil, 400, "image 1: "},
		{map[string]any{"inputs": []any{input([]int{1}, good)}, "parameters": map[string]any{"mode": "fast"}}, nil, 400, "fast"},
		{map[string]any{"inputs": []any{input([]int{1}, good)}, "parameters": map[string]any{"mode": 3}}, nil, 400, `"mode"`},
		{map[string]any{"inputs": []any{input([]int{1}, good)}, "outputs": []any{map[string]any{"name": "depth"}}}, nil, 400, "depth"},
		{map[string]any{"inputs": []any{input([]int{1}, good)}, "outputs": []any{map[string]any{"name": "logits", "parameters": map[string]any{"classification": 1.5}}}}, nil, 400, "1.5"},
		{map[string]any{"inputs": []any{map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{1}, "parameters": map[string]any{"binary_data_size": 9}}}}, []byte("\xff\xff\xff\xffxxxxx"), 400, "longer"},
		{map[string]any{"inputs": []any{map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{1}, "parameters": map[string]any{"binary_data_size": 5}}}}, []byte("\x01\x00\x00\x00xx"), 400, "binary_data_size"},
		// What is not of its type, or not in its place, is told, in the protocol's words.
		{with(request(), "outputs", []any{map[string]any{"name": "label", "parameters": map[string]any{"binary_data": "true"}}}), nil, 400, "binary_data is to be true or false"},
		{with(request(), "parameters", map[string]any{"binary_data_output": "yes"}), nil, 400, `"binary_data_output" is "yes"`},
		{with(request(), "parameters", map[string]any{"speed": 1}), nil, 400, `"speed" is not known`},
		{with(request(), "outputs", []any{map[string]any{"name": "label"}, map[string]any{"name": "label"}}), nil, 400, `"label" is asked for twice`},
		{with(request(), "outputs", []any{map[string]any{"name": "label", "parameters": map[string]any{"classification": 2.0, "content_type": "str"}}}), nil, 200, ""},
		{with(request(), "id", 7), nil, 400, "id is to be text"},
		{with(with(request(), "id", nil), "outputs", nil), nil, 200, ""},
		{request(), []byte("x"), 400, "1 bytes follow the JSON"},
		{one(input([]int{1}, good), "parameters", map[string]any{"binary_data_size": 1}), []byte("x"), 400, "data and binary_data_size"},
		{one(map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{1}}, "parameters", map[string]any{"binary_data_size": "123"}), []byte("x"), 400, `binary_data_size is "123" where 1 bytes`},
		{one(input([]int{2, 1}), "data", []any{[]any{good, good}, []any{}}), nil, 400, "more than 1"},
		{one(input([]int{2, 1}), "data", []any{[]any{good}, good}), nil, 400, "not of its shape"},
		{one(input([]int{2, 1}), "data", []any{good, good}), nil, 200, ""},
		{one(input([]int{-1}), "shape", []int{-1}), nil, 400, "not of -1"},
		{one(input([]int{1}, good), "shape", []float64{1.5}), nil, 400, "not of 1.5"},
		{one(input([]int{1}, good), "shape", "1"), nil, 400, "(N)"},
		{one(input([]int{1}, good), "name", 3), nil, 400, "one input"},
		{map[string]any{"inputs": "x"}, nil, 400, "one input"},
	} {
		if status, got, _ := c.infer(path, x.request, x.blob); status != x.status || !strings.Contains(got.Error, x.says) || strings.Contains(got.Error, "Go ") {
			t.Errorf("%v: %d %q, want %d %q", x.request, status, got.Error, x.status, x.says)
		}
	}
	if status, got := c.do("POST", path+"?mode=single", "", strings.NewReader("{}")); status != 400 || !strings.Contains(got.Error.Message, "parameter") {
		t.Errorf("a query: %d %+v", status, got)
	}
}
