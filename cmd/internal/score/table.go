package score

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CheckOut refuses names of files that promise something else than is written: lines of
// JSON, or a table if the name ends in .csv.
func CheckOut(name string) error {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".tsv", ".txt", ".xls", ".xlsx", ".ods", ".parquet", ".arrow", ".feather", ".avro", ".orc", ".db", ".sqlite", ".npy", ".npz", ".html", ".xml", ".yaml", ".yml",
		".gz", ".zst", ".zip", ".bz2", ".xz":
		return fmt.Errorf("--out %s: files of the kind %s are not written; end the name in .jsonl for lines of JSON or in .csv for a table", name, ext)
	case ".json":
		return fmt.Errorf("--out %s: a .json file holds one value, and a line of JSON an image is written; end the name in .jsonl", name)
	}
	return nil
}

// finish gives the finished file its name, as what that ends in says.
func (j *Job) finish() error {
	if strings.EqualFold(filepath.Ext(j.Out), ".csv") {
		if err := j.writeCSV(); err != nil {
			return err
		}
		return errors.Join(os.Remove(j.part()), os.Remove(j.settings()))
	}
	return errors.Join(os.Rename(j.part(), j.Out), os.Remove(j.settings()))
}

// writeCSV makes a table of the lines (RFC 4180): a row an image, and for each of the most
// probable classes its label, index and probability.
func (j *Job) writeCSV() (err error) {
	in, err := os.Open(j.part())
	if err != nil {
		return err
	}
	defer in.Close()
	temporary := j.Out + ".table"
	out, err := os.Create(temporary)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<16)
	err = errors.Join(j.tabulate(csv.NewWriter(w), in), w.Flush(), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(temporary, j.Out)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(temporary))
	}
	return err
}

func (j *Job) tabulate(w *csv.Writer, lines io.Reader) error {
	head := []string{"image", "image_base64", "error", "mode", "passes", "digest"}
	for k := range j.Top {
		head = append(head, fmt.Sprint("label", k+1), fmt.Sprint("index", k+1), fmt.Sprint("probability", k+1))
	}
	if err := w.Write(head); err != nil {
		return err
	}
	d := json.NewDecoder(lines)
	for {
		var l struct {
			Line
			Error string
		}
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			w.Flush()
			return w.Error()
		}
		if err != nil {
			return err
		}
		row := []string{l.Image, l.Bytes, l.Error, l.Mode, "", l.Digest}
		if l.Error == "" {
			row[4] = strconv.Itoa(l.Passes)
		}
		for _, t := range l.Top {
			row = append(row, t.Label, strconv.Itoa(t.Index), strconv.FormatFloat(float64(t.Probability), 'g', -1, 32))
		}
		for len(row) < len(head) {
			row = append(row, "")
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
}
