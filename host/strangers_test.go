package host

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Programs defer Close with the context whose end ends them, and have several owners close:
// where nothing is under way everything is freed, and nobody returns before it is.
func TestFieldCloseWithEndedContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a choice by chance would show
		c := open(t, tinySlab(t, 1), WithEngine(Native), WithPoolSize(4))
		if err := c.Close(ended); err != nil {
			t.Fatalf("with nothing under way: %v", err)
		}
	}
}

func TestFieldCloseTwiceAtOnce(t *testing.T) {
	c := open(t, tinySlab(t, 1), WithEngine(Native), WithPoolSize(2))
	i, err := c.pool.acquire(t.Context()) // a call under way
	if err != nil {
		t.Fatal(err)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- c.Close(t.Context()) }()
	for !c.pool.isClosed() {
		time.Sleep(time.Millisecond)
	}
	// The second waits, too, as long as it may.
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the first waits for a call: %v", err)
	}
	go func() { second <- c.Close(t.Context()) }()
	select {
	case err := <-second:
		t.Errorf("the second returned %v before the call under way", err)
	case <-time.After(20 * time.Millisecond):
	}
	c.pool.release(t.Context(), i, false)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

// Every error of Open is of a kind that its documentation names.
func TestFieldCacheDirThatIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), tinySlab(t, 1), WithCacheDir(file)); !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as the directory: %v", err)
	}
}

// What a request says twice, or of the wrong type, or with a mark before it.
func TestFieldRequestsOfStrangers(t *testing.T) {
	classifier := open(t, tinySlab(t, 1))
	c := newClient(t, NewService(classifier))
	file := pngOf(t, noise(1, 9, 9)[0])
	b64 := base64.StdEncoding.EncodeToString(file)
	const classify, form = "/v1/classify", "multipart/form-data; boundary=X"
	part := "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\n\r\n"
	infer := "/v2/models/" + classifier.Model().Name + "/infer"
	input := func(more string) string {
		return fmt.Sprintf(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":[%q]%s}]`, b64, more)
	}
	for _, x := range []struct {
		name, path string
		header     http.Header
		body       string
		status     int
		says       string
	}{
		{"JSON after a byte order mark", classify, http.Header{"Content-Type": {"application/json"}}, "\ufeff" + `{"image":"` + b64 + `"}`, 200, ""},
		{"KServe after a byte order mark", infer, nil, "\ufeff" + input("") + "}", 200, ""},
		{"the second encoding", classify, http.Header{"Content-Encoding": {"identity", "gzip"}}, string(file), 415, "not to be compressed"},
		{"two types", classify, http.Header{"Content-Type": {"image/png", "application/json"}}, string(file), 400, "Content-Type is there 2 times"},
		{"two lengths", infer, http.Header{binaryHeader: {"1", "2"}}, input("") + "}", 400, binaryHeader + " is there 2 times"},
		{"parameters in a list", infer, nil, input("") + `,"parameters":[]}`, 400, "parameters are to be an object"},
		{"outputs as text", infer, nil, input("") + `,"outputs":"label"}`, 400, "outputs are to be a list"},
		{"parameters of an output as text", infer, nil, input("") + `,"outputs":[{"name":"label","parameters":"x"}]}`, 400, `output \"label\" are to be an object`},
		{"parameters of the input as text", infer, nil, input(`,"parameters":"x"`) + `}`, 400, "input are to be an object"},
		{"parameters that are null", infer, nil, input(`,"parameters":null`) + `,"parameters":null,"outputs":[{"name":"label","parameters":null}]}`, 200, ""},
		{"an empty form", classify, http.Header{"Content-Type": {form}}, "", 400, "ends before its last boundary"},
		{"half a form", classify, http.Header{"Content-Type": {form}}, part + string(file), 400, "ends before its last boundary"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.server.URL+x.path, strings.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range x.header {
			r.Header[name] = v
		}
		answer, err := c.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != x.status || !strings.Contains(body.String(), x.says) {
			t.Errorf("%s: %d %s %v, want %d %s", x.name, answer.StatusCode, body.String(), err, x.status, x.says)
		}
	}
}
