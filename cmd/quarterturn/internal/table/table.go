// Package table writes what score found out as a table: CSV or Parquet.
package table

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
)

// For returns what writes a file of this name from lines of JSON, or nil if the lines are to
// stay what they are. A table has the most probable classes of an image, top of them.
func For(name string, top int) (func(lines io.Reader, w io.Writer) error, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return func(lines io.Reader, w io.Writer) error { return writeCSV(lines, w, top) }, nil
	case ".parquet":
		return writeParquet, nil
	}
	return nil, score.CheckOut(name)
}

// each calls f for each line.
func each(lines io.Reader, f func(s *score.Scored) error) error {
	d := json.NewDecoder(lines)
	for {
		var s score.Scored
		err := d.Decode(&s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(&s)
		}
		if err != nil {
			return err
		}
	}
}

// writeCSV writes a row an image (RFC 4180), with three columns for each class.
func writeCSV(lines io.Reader, out io.Writer, top int) error {
	w := csv.NewWriter(out)
	head := []string{"image", "image_base64", "error", "mode", "passes", "digest"}
	for k := range top {
		head = append(head, fmt.Sprint("label", k+1), fmt.Sprint("index", k+1), fmt.Sprint("probability", k+1))
	}
	err := w.Write(head)
	if err == nil {
		err = each(lines, func(s *score.Scored) error {
			row := []string{s.Image, s.Bytes, s.Error, s.Mode, "", s.Digest}
			if s.Error == "" {
				row[4] = strconv.Itoa(s.Passes)
			}
			for _, t := range s.Top {
				row = append(row, t.Label, strconv.Itoa(t.Index), strconv.FormatFloat(float64(t.Probability), 'g', -1, 32))
			}
			for len(row) < len(head) {
				row = append(row, "")
			}
			return w.Write(row)
		})
	}
	w.Flush()
	return errors.Join(err, w.Error())
}

// A row is that of an image in Parquet. Columns that say nothing of it are null.
type row struct {
	Image  string  `parquet:"image"`
	Bytes  *string `parquet:"image_base64,optional"`
	Error  *string `parquet:"error,optional"`
	Mode   *string `parquet:"mode,optional,dict"`
	Passes *int32  `parquet:"passes,optional"`
	Digest *string `parquet:"digest,optional"`
	Top    []class `parquet:"top,list"`
}

type class struct {
	Label       string  `parquet:"label,dict"`
	Index       int32   `parquet:"index"`
	Probability float32 `parquet:"probability"`
}

func writeParquet(lines io.Reader, out io.Writer) error {
	w := parquet.NewGenericWriter[row](out, parquet.Compression(&parquet.Snappy))
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	err := each(lines, func(s *score.Scored) error {
		r := row{Image: s.Image, Bytes: text(s.Bytes), Error: text(s.Error), Mode: text(s.Mode), Digest: text(s.Digest)}
		if s.Error == "" {
			passes := int32(s.Passes)
			r.Passes = &passes
		}
		for _, t := range s.Top {
			r.Top = append(r.Top, class{t.Label, int32(t.Index), t.Probability})
		}
		_, err := w.Write([]row{r})
		return err
	})
	return errors.Join(err, w.Close())
}
