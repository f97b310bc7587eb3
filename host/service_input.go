package host

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
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
		return nil, badParameter("the query %q cannot be read: %v", q.r.URL.RawQuery, err)
	}
	j := &job{top: 5}
	for name, v := range values {
		if len(v) > 1 {
			return nil, badParameter("%s is there %d times", strconv.Quote(name), len(v))
		}
		switch name {
		case "mode":
			j.mode, err = q.mode(v[0])
		case "top":
			j.top, err = parseTop(v[0])
		default:
			err = badParameter("there is no parameter %s; use mode and top", strconv.Quote(name))
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
	m, err := sla.ParseMode(name)
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
		return 0, badParameter("top is to be a number of classes, not %s", strconv.Quote(text))
	}
	return int(n), nil
}

// contentType returns the body's media type, which may be empty, and its parameters.
func (q *request) contentType() (string, map[string]string, error) {
	if e := q.r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		q.w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
		return "", nil, badType("the body is not to be compressed (Content-Encoding: %s); image files are already", e)
	}
	t := q.r.Header.Get("Content-Type")
	if t == "" {
		return "", nil, nil
	}
	kind, parameters, err := mime.ParseMediaType(t)
	if err != nil {
		return "", nil, badType("the Content-Type %q cannot be read: %v", t, err)
	}
	return kind, parameters, nil
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

// files reads the image files of a body of any of the types that are understood, at most
// limit of them. plain says whether the body may itself be an image.
func (q *request) files(limit int, plain bool) ([][]byte, error) {
	kind, parameters, err := q.contentType()
	if err != nil {
		return nil, err
	}
	switch {
	case kind == "multipart/form-data":
		return q.form(parameters["boundary"], limit)
	case kind == "application/json":
		return q.jsonImages(limit, plain)
	case !plain:
		return nil, badType("several images come as multipart/form-data or as application/json, not as %q", kind)
	// A form is what curl calls any body it was not told about.
	case kind == "", kind == "application/octet-stream", kind == "application/x-www-form-urlencoded", strings.HasPrefix(kind, "image/"):
		b, err := q.whole()
		return [][]byte{b}, err
	}
	return nil, badType("the body is to be an image, multipart/form-data with one, or application/json, not %s", kind)
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
	parts := multipart.NewReader(r, boundary)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, q.formError(err)
		}
		if part.FileName() == "" {
			return nil, badBody("the form's field %q is not a file; mode and top go into the address", part.FormName())
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
		return badBody("the form cannot be read: %v", broken.cause)
	}
	return err
}

// jsonImages reads {"image": base64} or {"images": [base64, ..]}.
func (q *request) jsonImages(limit int, single bool) ([][]byte, error) {
	b, err := q.whole()
	if err != nil {
		return nil, err
	}
	var v struct {
		Image  *string  `json:"image"`
		Images []string `json:"images"`
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		return nil, badBody("the JSON cannot be read: %v", err)
	}
	if decoder.More() {
		return nil, badBody("something follows the JSON object")
	}
	switch {
	case single && v.Image != nil && v.Images == nil:
		v.Images = []string{*v.Image}
	case single:
		return nil, badBody(`the JSON is to be {"image": "..."} with the file in base64; several images go to /v1/batch`)
	case v.Image != nil || len(v.Images) == 0:
		return nil, badBody(`the JSON is to be {"images": ["...", ...]} with each file in base64`)
	case len(v.Images) > limit:
		return nil, badBody("there are %d images, more than %d", len(v.Images), limit)
	}
	var files [][]byte
	for i, text := range v.Images {
		file, err := q.base64(text)
		if err != nil {
			return nil, badBody("image %d: %v", i, err)
		}
		files = append(files, file)
	}
	return files, nil
}

// base64 decodes a file in base64, for which it charges the body.
func (q *request) base64(text string) ([]byte, error) {
	if strings.HasPrefix(text, "data:") {
		return nil, badBody("a data URL is not read; send what follows its comma")
	}
	if err := q.body.charge(int64(len(text)) + int64(base64.StdEncoding.DecodedLen(len(text)))); err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, badBody("the base64 cannot be read: %v", err)
	}
	return b, nil
}

// measure returns the number of an image's pixels, if it can be read and is bearable.
func (s *Service) measure(file []byte) (int, error) {
	c, err := imagefile.DecodeConfig(file, imagefile.Limits{MaxPixels: s.config.maxPixels})
	return c.Width * c.Height, err
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
