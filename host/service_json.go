package host

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quarterturn/quarterturn/format/plain"
)

// A jsonValue is a value of a JSON text that is known to be valid: its bytes in that text.
// Looking into it takes no memory, however many elements it has, so that whoever reads a
// request can stop at the first one too many.
type jsonValue []byte

const jsonBlanks = " \t\r\n"

// parseJSON returns the one object that a text consists of. A byte order mark, which some
// editors and shells put before it, says nothing (RFC 8259, section 8.1).
func parseJSON(text []byte) (jsonValue, error) {
	text, err := plain.Text(text)
	if err != nil {
		return nil, badBody("%v", err)
	}
	if !json.Valid(text) {
		return nil, badBody("the JSON cannot be read: %v", json.Unmarshal(text, new(struct{})))
	}
	v := jsonValue(bytes.Trim(text, jsonBlanks))
	if !v.isObject() {
		return nil, badBody("the JSON is to be an object, not %v", v)
	}
	return v, nil
}

// looksLikeJSON reports whether a body begins as an object does, and so as no image.
func looksLikeJSON(body []byte) bool {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), jsonBlanks)
	return len(body) > 0 && jsonValue(body).isObject()
}

// isNull reports whether a value is null, which stands for one that is not there.
func (v jsonValue) isNull() bool { return v == nil || v[0] == 'n' }

// isList and isObject report what a value is.
func (v jsonValue) isList() bool   { return v[0] == '[' }
func (v jsonValue) isObject() bool { return v[0] == '{' }

// elements are those of a list; other values have none.
func (v jsonValue) elements() iter.Seq[jsonValue] {
	return func(yield func(jsonValue) bool) {
		if !v.isList() {
			return
		}
		for e, rest := v[1:].next(); e != nil && yield(e); {
			e, rest = rest.next()
		}
	}
}

// members are those of an object, by their names, of which long ones are cut; other values
// have none.
func (v jsonValue) members() iter.Seq2[string, jsonValue] {
	return func(yield func(string, jsonValue) bool) {
		if !v.isObject() {
			return
		}
		for key, rest := v[1:].next(); key != nil; key, rest = rest.next() {
			var member jsonValue
			member, rest = rest.next()
			name := key.String()
			if len(key) <= maxEcho {
				name, _ = key.text()
			}
			if !yield(name, member) {
				return
			}
		}
	}
}

// noneTwice returns an error if an object has one of these fields more than once, in capitals or not: which
// of them counts, every reader of JSON decides for itself (RFC 8259, section 4).
func (v jsonValue) noneTwice(fields ...string) error {
	var seen uint
	for name := range v.members() {
		i := slices.Index(fields, strings.ToLower(name))
		if i >= 0 && seen>>i&1 == 1 {
			return badBody("the JSON has the field %q twice", fields[i])
		}
		if i >= 0 {
			seen |= 1 << i
		}
	}
	return nil
}

// next returns the first value in the rest of a list or of an object, which is nil at its
// end, and what follows it.
func (v jsonValue) next() (first, rest jsonValue) {
	v = bytes.TrimLeft(v, jsonBlanks+",:")
	depth := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = v.textEnd(i)
		case '[', '{':
			depth++
			continue
		case ']', '}':
			if depth--; depth < 0 {
				return nil, nil
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			continue
		default: // a number, true, false or null
			for i+1 < len(v) && strings.IndexByte(jsonBlanks+",]}", v[i+1]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return v[:i+1], v[i+1:]
		}
	}
	return nil, nil
}

// textEnd returns where the text ends that begins at i.
func (v jsonValue) textEnd(i int) int {
	for {
		i += 1 + bytes.IndexByte(v[i+1:], '"')
		escapes := 0
		for v[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// text returns the text that a value is.
func (v jsonValue) text() (s string, ok bool) {
	ok = v[0] == '"' && json.Unmarshal(v, &s) == nil
	return s, ok
}

// flag returns the boolean that a value is.
func (v jsonValue) flag() (on, ok bool) {
	on = v[0] == 't'
	return on, on || v[0] == 'f'
}

// maxWhole is the largest number that whole returns: one that a float64 counts up to, too.
const maxWhole = min(1<<53, math.MaxInt)

// whole returns the whole number that a value is, or the nearest one up to maxWhole.
func (v jsonValue) whole() (n int, ok bool) {
	if v[0] == '"' || len(v) > maxEcho {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return int(min(max(f, -maxWhole), maxWhole)), err == nil && f == math.Trunc(f)
}

// String is the value as an error repeats it.
func (v jsonValue) String() string { return cut(string(v[:min(len(v), maxEcho+1)])) }

// base64 decodes the file in base64 that a value is, for which it charges the body.
func (q *request) base64(v jsonValue) ([]byte, error) {
	if v[0] != '"' {
		return nil, badBody("a file is to be text in base64, not %v", v)
	}
	text := v[1 : len(v)-1]
	if bytes.HasPrefix(text, []byte("data:")) {
		return nil, badBody("a data URL is not read; send what follows its comma")
	}
	if bytes.IndexByte(text, '\\') >= 0 { // some write / as \/
		if err := q.body.charge(2 * int64(len(text))); err != nil {
			return nil, err
		}
		s, _ := v.text() // it is a text
		text = []byte(s)
	}
	size := base64.StdEncoding.DecodedLen(len(text))
	if err := q.body.charge(int64(size)); err != nil {
		return nil, err
	}
	file := make([]byte, size)
	n, err := base64.StdEncoding.Decode(file, text)
	if err != nil {
		return nil, badBody("the base64 cannot be read: %v", err)
	}
	return file[:n], nil
}

// maxEcho is how many bytes of what a client sent an error repeats.
const maxEcho = 80

// cut shortens what a client sent for an error.
func cut(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	n := maxEcho
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// quote is strconv.Quote of what cut leaves.
func quote(s string) string { return strconv.Quote(cut(s)) }
