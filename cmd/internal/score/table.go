package score

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CheckOut refuses names of files that promise something else than lines of JSON.
func CheckOut(name string) error {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".csv", ".parquet":
		return fmt.Errorf("%s: lines of JSON are written here, and no tables; end the name in .jsonl", name)
	case ".tsv", ".txt", ".xls", ".xlsx", ".ods", ".arrow", ".feather", ".avro", ".orc", ".db", ".sqlite", ".npy", ".npz", ".html", ".xml", ".yaml", ".yml",
		".gz", ".zst", ".zip", ".bz2", ".xz":
		return fmt.Errorf("%s: files of the kind %s are not written; end the name in .jsonl for lines of JSON, or in .csv or .parquet for a table", name, ext)
	case ".json":
		return fmt.Errorf("%s: a .json file holds one value, and a line of JSON an image is written; end the name in .jsonl", name)
	}
	return nil
}

// finish gives the finished file its name, as a table if one is wanted.
func (j *Job) finish() error {
	if j.Table == nil {
		if err := os.Rename(j.part(), j.Out); err != nil {
			return err
		}
		return os.Remove(j.settings())
	}
	if err := j.writeTable(); err != nil {
		return err
	}
	return errors.Join(os.Remove(j.part()), os.Remove(j.settings()))
}

func (j *Job) writeTable() error {
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
	err = errors.Join(j.Table(in, out), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(temporary, j.Out)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(temporary))
	}
	return err
}
