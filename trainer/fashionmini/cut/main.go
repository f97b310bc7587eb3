// Command cut makes the fashion-mini data set: of Fashion-MNIST's training and
// test files, the first images of each class, in their order.
//
//	apt-get install dataset-fashion-mnist
//	go run ./trainer/fashionmini/cut -from /usr/share/datasets/fashion-mnist -to trainer/fashionmini
package main

import (
	"compress/gzip"
	"encoding/binary"
	"flag"
	"io"
	"log"
	"os"
	"path/filepath"
)

func main() {
	from := flag.String("from", "/usr/share/datasets/fashion-mnist", "the folder of the four IDX files")
	to := flag.String("to", ".", "where to write the four files of the subset")
	train := flag.Int("train", 400, "training images a class")
	test := flag.Int("test", 200, "test images a class")
	flag.Parse()
	for part, perClass := range map[string]int{"train": *train, "t10k": *test} {
		images := read(filepath.Join(*from, part+"-images-idx3-ubyte.gz"))
		labels := read(filepath.Join(*from, part+"-labels-idx1-ubyte.gz"))
		const size = 28 * 28
		outImages, outLabels := images[:16:16], labels[:8:8]
		var taken [10]int
		for i, y := range labels[8:] {
			if taken[y] < perClass {
				taken[y]++
				outImages = append(outImages, images[16+i*size:16+(i+1)*size]...)
				outLabels = append(outLabels, y)
			}
		}
		binary.BigEndian.PutUint32(outImages[4:], uint32(len(outLabels)-8))
		binary.BigEndian.PutUint32(outLabels[4:], uint32(len(outLabels)-8))
		write(filepath.Join(*to, part+"-images-idx3-ubyte.gz"), outImages)
		write(filepath.Join(*to, part+"-labels-idx1-ubyte.gz"), outLabels)
	}
}

func read(name string) []byte {
	f, err := os.Open(name)
	check(err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	check(err)
	b, err := io.ReadAll(z)
	check(err)
	return b
}

func write(name string, b []byte) {
	f, err := os.Create(name)
	check(err)
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	check(err)
	_, err = z.Write(b)
	check(err)
	check(z.Close())
	check(f.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
