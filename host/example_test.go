package host_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/www"
)

func Example() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model) // any slab's bytes
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)

	img := image.NewNRGBA(image.Rect(0, 0, 64, 48)) // any image.Image
	img.Set(10, 10, color.White)
	p, err := c.Classify(ctx, img, host.Mode(sla.Aggregated), host.TopK(3))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Mode, p.Passes, len(p.Top), len(p.Logits))
	// Output: aggregated 4 3 10
}

// The native engine gives the same bits as the sandboxed one.
func ExampleWithEngine() {
	ctx := context.Background()
	img := image.NewGray(image.Rect(0, 0, 32, 32))
	var digests []string
	for _, engine := range []host.Engine{host.Wazero, host.Native} {
		c, err := host.Open(ctx, www.Model, host.WithEngine(engine))
		if err != nil {
			log.Fatal(err)
		}
		p, err := c.Classify(ctx, img)
		if err != nil {
			log.Fatal(err)
		}
		digests = append(digests, p.Digest())
		c.Close(ctx)
	}
	fmt.Println(digests[0] == digests[1])
	// Output: true
}

func ExampleHandler() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	server := httptest.NewServer(host.Handler(c, host.WithMaxBody(1<<20), host.WithQueue(8)))
	defer server.Close()

	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 32, 32))); err != nil {
		log.Fatal(err)
	}
	answer, err := http.Post(server.URL+"/v1/classify?mode=single", "image/png", &file)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode, answer.Header.Get("Content-Type"))
	// Output: 200 application/json
}

// printer is a Tracer that prints; one for OpenTelemetry calls its Tracer.Start in
// the same place, and Span.RecordError and Span.End in end.
type printer struct{}

type depth struct{}

func (printer) Start(ctx context.Context, span string) (context.Context, func(error)) {
	n, _ := ctx.Value(depth{}).(int)
	fmt.Printf("%*s%s\n", 2*n, "", span)
	return context.WithValue(ctx, depth{}, n+1), func(err error) {
		if err != nil {
			fmt.Printf("%*s%s: %v\n", 2*n, "", span, err)
		}
	}
}

func ExampleWithTracer() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model, host.WithTracer(printer{}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Classify(ctx, image.NewGray(image.Rect(0, 0, 32, 32))); err != nil {
		log.Fatal(err)
	}
	// Output:
	// classify
	//   wait
	//   preprocess
	//   run
}

func ExampleClassifier_ClassifyBatch() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	images := []image.Image{image.NewGray(image.Rect(0, 0, 32, 32)), image.NewRGBA(image.Rect(0, 0, 64, 48))}
	predictions, err := c.ClassifyBatch(ctx, images)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(predictions), predictions[0].Passes)
	// Output: 2 1
}

// A gallery knows what it was shown.
func ExampleClassifier_NewGallery() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	black, white := image.NewGray(image.Rect(0, 0, 32, 32)), image.NewUniform(color.White)
	g := c.NewGallery()
	for label, img := range map[string]image.Image{"night": black, "snow": crop{white}} {
		if err := g.Enrol(ctx, label, img); err != nil {
			log.Fatal(err)
		}
	}
	p, err := g.Classify(ctx, black)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Top[0].Label, p.Mode)
	// Output: night matched
}

// crop gives an image without ends some.
type crop struct{ image.Image }

func (crop) Bounds() image.Rectangle { return image.Rect(0, 0, 32, 32) }
