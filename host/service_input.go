package host

import (
	"context"
	"errors"
	"image"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// query reads what the address asks for.
func (q *request) query() (*job, error) {
	values, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return nil, badParameter("the query %s cannot be read: %s", quote(q.r.URL.RawQuery), cut(err.Error()))
	}
	j := &job{top: 5}
	for name, v := range values {
		if len(v) > 1 {
			return nil, badParameter("%s is there %d times", quote(name), len(v))
		}
		switch name {
		case "mode":
			j.mode, err = q.mode(v[0])
		case "top":
			j.top, err = parseTop(v[0])
		default:
			err = badParameter("there is no parameter %s; use mode and top", quote(name))
		}
		if err != nil {
			return nil, err
		}
	}
	return j, nil
}

// mode reads the name of a mode that the slab has.
func (q *request) mode(name string) (sla.Mode, error) {
	c, err := q.s.current()
	if err != nil {
		return 0, err
	}
	m, err := sla.ParseMode(cut(name)) // no mode's name is as long
	if err == nil {
		_, err = sla.ResolveMode(&c.Model().Manifest, m)
	}
	if err != nil {
		return 0, &httpError{http.StatusBadRequest, "mode", err.Error()}
	}
	return m, nil
}

func parseTop(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, badParameter("top is to be a number of classes, not %s", quote(text))
	}
	return int(n), nil
}

// contentType returns the body's media type, which may be empty, and its parameters.
func (q *request) contentType() (string, map[string]string, error) {
	for _, e := range q.r.Header.Values("Content-Encoding") {
		if e != "" && !strings.EqualFold(e, "identity") {
			q.w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
			return "", nil, badType("the body is not to be compressed (Content-Encoding: %s); image files are already", cut(e))
		}
	}
	t, err := q.header("Content-Type")
	if t == "" || err != nil {
		return "", nil, err
	}
	kind, parameters, err := mime.ParseMediaType(t)
	if err != nil {
		return "", nil, badType("the Content-Type %s cannot be read: %s", quote(t), cut(err.Error()))
	}
	return kind, parameters, nil
}

// header returns a header that says one thing, which is empty if it is not there. Twice it
// might be read in one way here and in another by what stands before this server.
func (q *request) header(name string) (string, error) {
	v := q.r.Header.Values(name)
	if len(v) > 1 {
		return "", badParameter("the header %s is there %d times", name, len(v))
	}
	return q.r.Header.Get(name), nil
}

// bounded is the request's body, up to its limit.
func (q *request) bounded() (io.Reader, error) {
	limit := q.s.config.maxBody
	if q.r.ContentLength > limit {
		return nil, tooLarge("the body has %d bytes, more than %d", q.r.ContentLength, limit)
	}
	return http.MaxBytesReader(q.w, q.r.Body, limit), nil
}

// whole reads the body in one piece.
func (q *request) whole() ([]byte, error) {
	r, err := q.bounded()
	if err != nil {
		return nil, err
	}
	b, err := q.body.read(r, q.r.ContentLength)
	if err == nil && len(b) == 0 {
		err = badImage("the body is empty")
	}
	return b, err
}

// files reads a body of any of the types that are understood and gives its image files,
// at most limit of them, to the job. plain says whether the body may itself be an image.
func (q *request) files(j *job, limit int, plain bool) error {
	kind, parameters, err := q.contentType()
	if err != nil {
		return err
	}
	switch {
	case kind == "multipart/form-data":
		j.images, err = q.form(parameters["boundary"], limit)
		return err
	case kind == "application/json":
		return q.jsonImages(j, limit, plain)
	case !plain:
		return badType("several images come with the header Content-Type: multipart/form-data or application/json, not %s", quote(kind))
	// A form is what curl calls any body it was not told about.
	case kind == "", kind == "application/octet-stream", kind == "application/x-www-form-urlencoded", strings.HasPrefix(kind, "image/"):
		b, err := q.whole()
		if err == nil && looksLikeJSON(b) {
			err = badType("the body looks like JSON; send it with the header Content-Type: application/json")
		}
		j.images = [][]byte{b}
		return err
	}
	return badType("the body is to be an image, multipart/form-data with one, or application/json, not %s", cut(kind))
}

// form reads the files of multipart/form-data.
func (q *request) form(boundary string, limit int) ([][]byte, error) {
	if boundary == "" {
		return nil, badType("multipart/form-data needs a boundary")
	}
	r, err := q.bounded()
	if err != nil {
		return nil, err
	}
	var files [][]byte
	source := &formReader{r: r, body: q.body}
	parts := multipart.NewReader(source, boundary)
	for {
		source.headers = maxPartHeaders
		part, err := parts.NextRawPart()
		source.headers = -1
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, q.formError(err)
		}
		if !isFile(part) {
			return nil, badBody("the form's field %s is not a file; mode and top go into the address", quote(part.FormName()))
		}
		if len(files) == limit {
			return nil, badBody("the form has more than %d %s", limit, plural(limit, "file"))
		}
		b, err := q.body.read(part, -1)
		if err != nil {
			return nil, q.formError(err)
		}
		files = append(files, b)
	}
	if len(files) == 0 {
		return nil, badBody("the form has no file")
	}
	// What follows the last boundary says nothing; net/http wants it read.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, q.body.readError(err, 0)
	}
	return files, nil
}

// isFile reports whether a part of a form is a file: it has a file's name, or a type that
// no ordinary field has.
func isFile(part *multipart.Part) bool {
	kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")) // empty if it cannot be read
	return part.FileName() != "" || kind == "application/octet-stream" || strings.HasPrefix(kind, "image/")
}

// maxPartHeaders is how many bytes of headers a part of a form may have, and so how many
// package multipart holds while they come.
const maxPartHeaders = 4 << 10

// A formReader is a form's body. It bounds the headers of its parts, and charges for them.
type formReader struct {
	r       io.Reader
	body    *body
	headers int // how many bytes of them may still come; -1 within a part
}

func (f *formReader) Read(p []byte) (int, error) {
	if f.headers < 0 {
		return f.r.Read(p)
	}
	if f.headers == 0 {
		return 0, badBody("no part of the form with headers of at most %d bytes begins here; is the boundary right?", maxPartHeaders)
	}
	n, err := f.r.Read(p[:min(len(p), f.headers)])
	f.headers -= n
	if charged := f.body.charge(int64(n)); charged != nil {
		return n, charged
	}
	return n, err
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// formError tells a broken form from a broken connection.
func (q *request) formError(err error) error {
	var broken *bodyError
	if errors.As(err, &broken) {
		err = broken.cause
	}
	var told *httpError
	if errors.As(err, &told) {
		return told
	}
	err = q.body.readError(err, 0)
	if errors.As(err, &broken) && q.r.Context().Err() == nil {
		if errors.Is(broken.cause, io.EOF) || errors.Is(broken.cause, io.ErrUnexpectedEOF) {
			return badBody("the form ends before its last boundary")
		}
		return badBody("the form cannot be read: %v", broken.cause)
	}
	return err
}

// jsonImages reads {"image": base64} or {"images": [base64, ..]}.
func (q *request) jsonImages(j *job, limit int, single bool) error {
	text, err := q.whole()
	if err != nil {
		return err
	}
	j.parse = func() error {
		list, err := imagesOf(text, limit, single)
		if err != nil {
			return err
		}
		return q.base64List(j, list)
	}
	return nil
}

// imagesOf returns the images of a request in JSON.
func imagesOf(text []byte, limit int, single bool) ([]jsonValue, error) {
	v, err := parseJSON(text)
	if err == nil {
		err = v.noneTwice("image", "images")
	}
	if err != nil {
		return nil, err
	}
	var image jsonValue
	var images []jsonValue
	for name, member := range v.members() {
		switch strings.ToLower(name) { // as encoding/json takes them
		case "image":
			image = member
		case "images":
			for e := range member.elements() {
				if len(images) == limit && !single {
					return nil, badBody("there are more than %d images", limit)
				}
				if images = append(images, e); single {
					break // it is refused below
				}
			}
		default:
			return nil, badBody("the JSON has a field %s that is not known", quote(name))
		}
	}
	switch {
	case single && !image.isNull() && images == nil:
		return []jsonValue{image}, nil
	case single:
		return nil, badBody(`the JSON is to be {"image": "..."} with the file in base64; several images go to /v1/batch`)
	case !image.isNull() || len(images) == 0:
		return nil, badBody(`the JSON is to be {"images": ["...", ...]} with each file in base64`)
	}
	return images, nil
}

// base64List decodes the files of a job in base64. One that is none fails alone.
func (q *request) base64List(j *job, list []jsonValue) error {
	j.images, j.failed = make([][]byte, len(list)), make([]error, len(list))
	for i, v := range list {
		if err := q.ctx.Err(); err != nil {
			return err
		}
		file, err := q.base64(v)
		var told *httpError
		if err != nil && (!errors.As(err, &told) || told == errEvicted) {
			return err
		}
		j.images[i], j.failed[i] = file, err
	}
	return nil
}

// measure returns the work of decoding an image, in pixels, if it can be read and is bearable.
func (s *Service) measure(file []byte) (int, error) {
	c, err := imagefile.DecodeConfig(file, imagefile.Limits{MaxPixels: s.config.maxPixels})
	return c.Work, err
}

// decode reads an image.
func (s *Service) decode(ctx context.Context, file []byte) (img image.Image, err error) {
	c, err := s.current()
	if err != nil {
		return nil, err
	}
	ctx, end := c.tracer.Start(ctx, "decode")
	defer func() { end(err) }()
	return imagefile.Decode(ctx, file, imagefile.Limits{MaxPixels: s.config.maxPixels})
}
