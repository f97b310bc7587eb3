package dataset

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestLoad(t *testing.T) {
	d, err := Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 4000 || d.Test.Len() != 2000 || len(d.Train.Pixels) != 4000*28*28 || len(d.ClassNames) != 10 {
		t.Errorf("fashion-mini: %d and %d images", d.Train.Len(), d.Test.Len())
	}
	for name, want := range map[string]string{
		"fashion":             "or fashion-mini (built in)",
		"fashion:":            "or fashion-mini (built in)",
		"mnist:/tmp":          "or fashion-mini (built in)",
		"fashion:/no/where":   "neither train-images-idx3-ubyte nor",
		"cifar10:/no/where":   "no data_batch",
		"cifar100:/no/where":  "fine_label_names.txt",
		"fashion:/etc/passwd": "train-images",
	} {
		if _, err := Load(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func idx(dims []int, data []byte) *fstest.MapFile {
	b := []byte{0, 0, 8, byte(len(dims))}
	for _, n := range dims {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return &fstest.MapFile{Data: append(b, data...)}
}

func TestBrokenDataFiles(t *testing.T) {
	files := func() fstest.MapFS {
		fs := fstest.MapFS{}
		for _, part := range []string{"train", "t10k"} {
			fs[part+"-images-idx3-ubyte"] = idx([]int{2, 3, 4}, make([]byte, 24))
			fs[part+"-labels-idx1-ubyte"] = idx([]int{2}, []byte{0, 9})
		}
		return fs
	}
	if d, err := loadFashion(files()); err != nil || d.Height != 3 || d.Width != 4 || d.Test.Labels[1] != 9 {
		t.Fatalf("whole files: %v", err)
	}
	for _, c := range []struct {
		name, want string
		file       *fstest.MapFile
	}{
		{"train-images-idx3-ubyte", "announces 24 bytes of data, the file has 23", idx([]int{2, 3, 4}, make([]byte, 23))},
		{"train-images-idx3-ubyte", "announces the shape", idx([]int{1 << 31, 1 << 31, 4}, make([]byte, 24))},
		{"train-images-idx3-ubyte", "not an IDX file", &fstest.MapFile{Data: []byte("PK")}},
		{"t10k-images-idx3-ubyte", "the others are 4x3", idx([]int{2, 4, 3}, make([]byte, 24))},
		{"t10k-labels-idx1-ubyte", "2 images but 3 labels", idx([]int{3}, make([]byte, 3))},
		{"t10k-labels-idx1-ubyte", "label 1 is 10, but there are 10 classes", idx([]int{2}, []byte{0, 10})},
		{"train-images-idx3-ubyte.gz", "gzip", &fstest.MapFile{Data: []byte("no gzip at all")}},
	} {
		fs := files()
		delete(fs, strings.TrimSuffix(c.name, ".gz"))
		fs[c.name] = c.file
		if _, err := loadFashion(fs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCIFAR(t *testing.T) {
	record := func(label byte) []byte {
		b := []byte{7, label}
		for p := range 3 * 1024 {
			b = append(b, byte(p/1024*100+p%100))
		}
		return b
	}
	fs := fstest.MapFS{
		"train.bin":            {Data: append(record(3), record(99)...)},
		"test.bin":             {Data: record(5)},
		"fine_label_names.txt": {Data: []byte(strings.Repeat("name\n", 100))},
	}
	d, err := loadCIFAR100(fs)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Train.Labels, []int{3, 99}) || !slices.Equal(d.Test.Pixels[3*41:3*42], []byte{41, 165, 33}) {
		// plane c at pixel 41 is c*100 + (c*1024+41)%100, as a byte
		t.Errorf("classes %v, pixel %v", d.Train.Labels, d.Test.Pixels[3*41:3*42])
	}
	if _, err := loadCIFARFS(fs, false); err == nil || !strings.Contains(err.Error(), "lacks the class baby") {
		t.Error(err)
	}
	// Classes 3 and 99 are new ones, 5 is not.
	names := slices.Repeat([]string{"name"}, 78)
	names = append(slices.Insert(names, 3, cifarFSNew[0], "another", "fish"), cifarFSNew[1:]...)
	fs["fine_label_names.txt"] = &fstest.MapFile{Data: []byte(strings.Join(names, "\n"))}
	old, err := loadCIFARFS(fs, false)
	if err != nil || len(old.ClassNames) != 80 || old.ClassNames[4] != "fish" || !slices.Equal(old.Train.Labels, []int{4}) || old.Test.Len() != 0 {
		t.Errorf("known classes %q, images of %v, %v", old.ClassNames, old.Train.Labels, err)
	}
	fresh, err := loadCIFARFS(fs, true)
	if err != nil || !slices.Equal(fresh.ClassNames, cifarFSNew) || !slices.Equal(fresh.Test.Labels, []int{0, 19}) || len(fresh.Test.Pixels) != 2*3072 || fresh.Train.Len() != 0 {
		t.Errorf("new classes %q, images of %v, %v", fresh.ClassNames, fresh.Test.Labels, err)
	}
	fs["test.bin"] = &fstest.MapFile{Data: record(5)[1:]}
	if _, err := loadCIFAR100(fs); err == nil || !strings.Contains(err.Error(), "test.bin has 3073 bytes, not a multiple of its record's 3074") {
		t.Error(err)
	}
	fs["test.bin"] = &fstest.MapFile{Data: record(100)}
	if _, err := loadCIFAR100(fs); err == nil || !strings.Contains(err.Error(), "there are 100 classes") {
		t.Error(err)
	}
}

func FuzzParseIDX(f *testing.F) {
	f.Add(idx([]int{2, 3, 4}, make([]byte, 24)).Data, 3)
	f.Add(idx([]int{2}, make([]byte, 2)).Data, 1)
	f.Fuzz(func(t *testing.T, b []byte, dims int) {
		if dims < 1 || dims > 4 {
			return
		}
		data, shape, err := parseIDX(b, dims)
		if err != nil {
			return
		}
		size := 1
		for _, n := range shape {
			size *= n
		}
		if len(shape) != dims || size != len(data) || size == 0 {
			t.Fatalf("shape %v of %d bytes", shape, len(data))
		}
	})
}
