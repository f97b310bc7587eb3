package format_test

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/quarterturn/quarterturn/format"
)

func ExampleDecode() {
	slab, err := os.ReadFile("../www/models/cifar10.slab") // or any other
	if err != nil {
		log.Fatal(err)
	}
	m, err := format.Decode(slab)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Classes(), "classes, the first", m.Labels[0])
	fmt.Println("modes", m.Modes(), "of which it recommends", m.Recommended)
	fmt.Println("input", m.Input.Channels, m.Input.Height, m.Input.Width)
	fmt.Println(m.Tensors[0].Name, m.Tensors[0].Shape, len(m.Weights[0]))
	// Output:
	// 10 classes, the first airplane
	// modes [single aggregated distilled] of which it recommends single
	// input 3 32 32
	// stem.weight [16 3 3 3] 432
}

// Errors have a kind for errors.Is, and say where in the slab they are.
func ExampleError() {
	slab, err := os.ReadFile("../www/models/cifar10.slab")
	if err != nil {
		log.Fatal(err)
	}
	_, err = format.Decode(slab[:1000])
	fmt.Println(errors.Is(err, format.ErrCorrupt))
	var e *format.Error
	if errors.As(err, &e) {
		fmt.Println(e.Field, "at byte", e.Offset)
	}
	// Output:
	// true
	// data length at byte 16
}
