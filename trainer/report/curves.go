package report

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/quarterturn/quarterturn/format"
)

// An Epoch is what metrics.jsonl says of one epoch.
type Epoch struct {
	Event   string          `json:"event"`
	Epoch   int             `json:"epoch"`
	Step    int             `json:"step"`
	Loss    float64         `json:"loss"`
	LR      float64         `json:"lr"`
	Seconds float64         `json:"seconds"` // that the run has taken
	Time    float64         `json:"time"`    // in seconds since 1970
	Metrics []format.Metric `json:"metrics"` // on the validation images
}

// colours are Okabe and Ito's, which colour-blind people can tell apart.
var colours = []color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}}

// Curves draws the loss and, under it, each mode's validation accuracy by epoch,
// as SVG.
func Curves(epochs []Epoch) ([]byte, error) {
	loss, accuracy := plot.New(), plot.New()
	loss.Title.Text, loss.Y.Label.Text = "Training", "loss"
	accuracy.Y.Label.Text, accuracy.X.Label.Text = "validation accuracy, %", "epoch"
	// The legend is at the bottom right, where curves that rise leave room; names stand behind their lines, since
	// whoever looks at the SVG may have wider letters.
	accuracy.Legend.Left, accuracy.Legend.XOffs = true, 7*vg.Centimeter
	accuracy.Legend.Padding, accuracy.Legend.TextStyle.Font.Size = vg.Points(2), vg.Points(9)

	points := make(plotter.XYs, len(epochs))
	modes := map[string]plotter.XYs{}
	for i, e := range epochs {
		points[i] = plotter.XY{X: float64(e.Epoch), Y: e.Loss}
		for _, m := range e.Metrics {
			modes[m.Mode] = append(modes[m.Mode], plotter.XY{X: float64(e.Epoch), Y: 100 * m.Accuracy})
		}
	}
	add := func(p *plot.Plot, xy plotter.XYs, c color.RGBA, name string) error {
		line, dots, err := plotter.NewLinePoints(xy)
		if err != nil {
			return err
		}
		line.Color, dots.Color, dots.Shape, dots.Radius = c, c, draw.CircleGlyph{}, vg.Points(1.5)
		p.Add(line, dots)
		if name != "" {
			p.Legend.Add(name, line)
		}
		return nil
	}
	if err := add(loss, points, colours[0], ""); err != nil {
		return nil, err
	}
	for i, m := range epochs[0].Metrics {
		if err := add(accuracy, modes[m.Mode], colours[i%len(colours)], m.Mode); err != nil {
			return nil, err
		}
	}
	for _, p := range []*plot.Plot{loss, accuracy} {
		p.Add(plotter.NewGrid())
		p.X.Tick.Marker = wholeTicks{}
	}
	// As wide as a telephone, so that its text can be read there.
	canvas := vgsvg.New(12*vg.Centimeter, 15*vg.Centimeter)
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadY: 5 * vg.Millimeter, PadRight: 5 * vg.Millimeter, PadTop: 2 * vg.Millimeter}
	plots := [][]*plot.Plot{{loss}, {accuracy}}
	for row, c := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[row][0].Draw(c[0])
	}
	return document(canvas)
}

// wholeTicks marks whole numbers alone: there is no epoch 2.5.
type wholeTicks struct{}

// Ticks returns at most about eight marks, every 1, 2 or 5 times a power of ten.
func (wholeTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	step := 1
	for k := 0; (high-low)/float64(step) > 8; k++ {
		step = [...]int{2, 5, 10}[k%3] * int(math.Pow10(k/3))
	}
	for v := int(math.Ceil(low/float64(step))) * step; float64(v) <= high; v += step {
		ticks = append(ticks, plot.Tick{Value: float64(v), Label: strconv.Itoa(v)})
	}
	return ticks
}
