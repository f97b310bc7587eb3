package format

import "strconv"

// AppendJSON appends a description of the model as one JSON object: the manifest
// under the names of its struct tags, with hashes in hexadecimal, and beside it
// what follows from it (hash, parameters, macs, modes and their passes). The
// module and the command line both describe slabs with it.
func (m *Model) AppendJSON(b []byte) []byte {
	j := jsonWriter{b}
	j.open('{')
	j.text("name", m.Name)
	j.hex("hash", m.Hash[:])
	j.number("parameters", m.Parameters())
	j.number("macs", m.MACs())
	j.list("labels", len(m.Labels), func(i int) { j.quote(m.Labels[i]) })
	j.list("transforms", len(m.Transforms), func(i int) {
		t := &m.Transforms[i]
		j.open('{')
		j.number("turns", t.Turns)
		j.list("channels", len(t.Channels), func(k int) { j.int(t.Channels[k]) })
		j.close('}')
	})
	j.key("input")
	j.open('{')
	j.number("channels", m.Input.Channels)
	j.number("height", m.Input.Height)
	j.number("width", m.Input.Width)
	j.list("mean", len(m.Input.Mean), func(i int) { j.float(float64(m.Input.Mean[i]), 32) })
	j.list("std", len(m.Input.Std), func(i int) { j.float(float64(m.Input.Std[i]), 32) })
	j.close('}')
	j.list("layers", len(m.Layers), func(i int) { j.layer(&m.Layers[i]) })
	j.list("heads", len(m.Heads), func(i int) {
		j.open('{')
		j.text("kind", m.Heads[i].Kind)
		if scale := m.Heads[i].Scale; scale != 0 {
			j.float32("scale", scale)
		}
		j.close('}')
	})
	names := m.Modes()
	j.list("modes", len(names), func(i int) {
		j.open('{')
		j.text("mode", names[i])
		j.number("passes", m.Passes(names[i]))
		j.close('}')
	})
	if len(m.Exits) > 0 {
		j.list("exits", len(m.Exits), func(i int) {
			x := &m.Exits[i]
			j.open('{')
			j.float32("margin", x.Margin)
			j.float32("temperature", x.Temperature)
			j.real("share", x.Share)
			j.close('}')
		})
	}
	j.text("recommended", m.Recommended)
	j.list("metrics", len(m.Metrics), func(i int) {
		x := &m.Metrics[i]
		j.open('{')
		j.text("mode", x.Mode)
		j.text("split", x.Split)
		j.number("n", x.N)
		j.real("accuracy", x.Accuracy)
		j.real("nll", x.NLL)
		j.real("ece", x.ECE)
		if x.Temperature != 0 {
			j.float32("temperature", x.Temperature)
		}
		j.close('}')
	})
	j.provenance(&m.Provenance)
	j.key("selftest")
	j.open('{')
	j.number("seed", m.SelfTest.Seed)
	j.hex("digest", m.SelfTest.Digest)
	j.close('}')
	j.list("tensors", len(m.Tensors), func(i int) {
		t := &m.Tensors[i]
		j.open('{')
		j.text("name", t.Name)
		j.list("shape", len(t.Shape), func(k int) { j.int(t.Shape[k]) })
		j.number("offset", t.Offset)
		j.hex("sha256", t.SHA256)
		j.close('}')
	})
	j.close('}')
	return j.b
}

// Passes is the number of passes of the network that a mode takes, at most.
func (m *Manifest) Passes(mode string) int {
	if mode == ModeAggregated || mode == ModeAdaptive {
		return m.Views()
	}
	return 1
}

// Parameters is the number of weights and biases.
func (m *Manifest) Parameters() int {
	n := 0
	for _, t := range m.TensorShapes() {
		n += t.Elements()
	}
	return n
}

// MACs is the number of multiply-adds that the convolutions of one pass take.
func (m *Manifest) MACs() int {
	n := 0
	shapes := m.Shapes()
	for i := range m.Layers {
		if l := &m.Layers[i]; l.Op == OpConv {
			n += shapes[i+1].Elements() * shapes[l.Input].Channels * l.Kernel * l.Kernel
		}
	}
	return n
}

// A jsonWriter appends JSON; commas come by themselves.
type jsonWriter struct{ b []byte }

func (j *jsonWriter) comma() {
	if n := len(j.b); n > 0 {
		if c := j.b[n-1]; c != '{' && c != '[' && c != ':' {
			j.b = append(j.b, ',')
		}
	}
}

func (j *jsonWriter) open(c byte) {
	j.comma()
	j.b = append(j.b, c)
}

func (j *jsonWriter) close(c byte) { j.b = append(j.b, c) }

func (j *jsonWriter) key(k string) {
	j.quote(k)
	j.b = append(j.b, ':')
}

func (j *jsonWriter) int(v int) {
	j.comma()
	j.b = strconv.AppendInt(j.b, int64(v), 10)
}

func (j *jsonWriter) float(v float64, bits int) {
	j.comma()
	j.b = strconv.AppendFloat(j.b, v, 'g', -1, bits)
}

const hexDigits = "0123456789abcdef"

// quote writes a string, which is known to be UTF-8.
func (j *jsonWriter) quote(s string) {
	j.comma()
	j.b = append(j.b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			j.b = append(j.b, '\\', c)
		case c < ' ':
			j.b = append(j.b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			j.b = append(j.b, c)
		}
	}
	j.b = append(j.b, '"')
}

func (j *jsonWriter) text(k, v string)            { j.key(k); j.quote(v) }
func (j *jsonWriter) number(k string, v int)      { j.key(k); j.int(v) }
func (j *jsonWriter) real(k string, v float64)    { j.key(k); j.float(v, 64) }
func (j *jsonWriter) float32(k string, v float32) { j.key(k); j.float(float64(v), 32) }
func (j *jsonWriter) hex(k string, v []byte)      { j.key(k); j.quote(Hex(v)) }

func (j *jsonWriter) list(k string, n int, element func(i int)) {
	j.key(k)
	j.open('[')
	for i := range n {
		element(i)
	}
	j.close(']')
}

func (j *jsonWriter) layer(l *Layer) {
	j.open('{')
	j.text("name", l.Name)
	j.text("op", l.Op)
	j.number("input", l.Input)
	j.number("residual", l.Residual)
	j.number("out", l.Out)
	j.number("kernel", l.Kernel)
	j.number("stride", l.Stride)
	j.key("relu")
	j.b = strconv.AppendBool(j.b, l.ReLU)
	j.close('}')
}

func (j *jsonWriter) provenance(p *Provenance) {
	j.key("provenance")
	j.open('{')
	j.text("tool", p.Tool)
	j.text("data", p.Data)
	j.text("method", p.Method)
	j.text("net", p.Net)
	j.number("seed", p.Seed)
	j.number("images", p.Images)
	j.number("epochs", p.Epochs)
	j.number("steps", p.Steps)
	j.close('}')
}

// Hex writes bytes in lower-case hexadecimal.
func Hex(b []byte) string {
	s := make([]byte, 0, 2*len(b))
	for _, c := range b {
		s = append(s, hexDigits[c>>4], hexDigits[c&15])
	}
	return string(s)
}
