// Command train is a training program of your own: it trains the same net with and without
// joint labels, evaluates both slabs on the test images, and keeps the better one.
//
//	go run ./docs/examples/train -epochs 10 -out best.slab
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

func main() {
	data := flag.String("data", "fashion-mini", "a data set, as `quarterturn train` names them")
	epochs := flag.Int("epochs", 10, "passes over the training images")
	out := flag.String("out", "best.slab", "the slab to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *data, *epochs, *out); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, data string, epochs int, out string) error {
	d, err := dataset.Load(ctx, data)
	if err != nil {
		return err
	}
	best, bestAccuracy := []byte(nil), -1.0
	for _, method := range []string{"baseline", "sla+sd"} {
		c := trainer.DefaultConfig()
		c.Method, c.Net, c.BatchSize, c.Epochs = method, "resnet8w8", 32, epochs
		model, slab, err := trainer.Train(ctx, d, c, func(e trainer.Event) {
			if e.Validation != nil { // once an epoch
				fmt.Printf("%s: epoch %d of %d, loss %.3f\n", method, e.Epoch, e.Epochs, e.Loss)
			}
		})
		if err != nil {
			return err
		}
		scores, err := evaluate.Evaluate(ctx, evaluate.Ensemble{model}, evaluate.TestImages(d), nil)
		if err != nil {
			return err
		}
		for _, s := range scores {
			fmt.Printf("%s: %s, %.1f %% of %d test images, %g passes\n", method, s.Mode, 100*s.Accuracy, s.N, s.Passes)
			if s.Mode == model.Recommended && s.Accuracy > bestAccuracy {
				best, bestAccuracy = slab, s.Accuracy
			}
		}
	}
	fmt.Printf("writing %s, %d bytes\n", out, len(best))
	return atomicfile.Write(out, best)
}
