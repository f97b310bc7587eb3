//go:build !wasm

// ParseTransforms is not in the module, so its example is not built for it.

package sla_test

import (
	"fmt"
	"log"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/www"
)

func ExampleClassifier() {
	m, err := format.Decode(www.Model)
	if err != nil {
		log.Fatal(err)
	}
	c, err := sla.New(m)
	if err != nil {
		log.Fatal(err)
	}
	const width, height = 48, 40
	if err := c.Begin(width, height); err != nil {
		log.Fatal(err)
	}
	row := make([]byte, 4*width) // red, green, blue and alpha of each pixel
	for range height {
		if err := c.Rows(row); err != nil { // or many rows at a time
			log.Fatal(err)
		}
	}
	r, err := c.Run(sla.Aggregated)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Mode, r.Passes, "passes,", len(r.Logits), "logits,", len(r.Views), "of all views")
	// Output: aggregated 4 passes, 10 logits, 40 of all views
}

// A caller that may want to stop runs an image in pieces.
func ExampleClassifier_RunBudget() {
	m, err := format.Decode(www.Model)
	if err != nil {
		log.Fatal(err)
	}
	c, err := sla.New(m)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Begin(1, 1); err != nil {
		log.Fatal(err)
	}
	if err := c.Rows([]byte{255, 0, 0, 255}); err != nil {
		log.Fatal(err)
	}
	pieces := 0
	for {
		r, err := c.RunBudget(sla.Aggregated, sla.Work(&m.Manifest)/4)
		if err != nil {
			log.Fatal(err)
		}
		pieces++
		if r != nil {
			fmt.Println(r.Passes, "passes,", pieces > 1, "in pieces")
			return
		}
	}
	// Output: 4 passes, true in pieces
}

func ExampleParseTransforms() {
	views, err := sla.ParseTransforms("rotation2xcolor3", 3)
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range views {
		fmt.Println(v.Turns, v.Channels)
	}
	// Output:
	// 0 [0 1 2]
	// 0 [1 2 0]
	// 0 [2 0 1]
	// 2 [0 1 2]
	// 2 [1 2 0]
	// 2 [2 0 1]
}
