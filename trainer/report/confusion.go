package report

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// MaxConfusion is the largest number of classes of which a confusion matrix is drawn.
const MaxConfusion = 100

// shares is a confusion matrix: of the images of each class the share, in percent, with
// each answer. It is a plotter.GridXYZ with the first class at the top.
type shares [][]float64

func (s shares) Dims() (c, r int)   { return len(s), len(s) }
func (s shares) Z(c, r int) float64 { return s[len(s)-1-r][c] }
func (s shares) X(c int) float64    { return float64(c) }
func (s shares) Y(r int) float64    { return float64(r) }

// Confusion draws which classes are taken for which, as SVG: a row for each class, a column
// for each answer. labels are those of the images that score has the answers to, in names.
func Confusion(score *evaluate.Score, labels []int, names []string) ([]byte, error) {
	n := len(names)
	matrix := make(shares, n)
	for y := range matrix {
		matrix[y] = make([]float64, n)
	}
	for i, answer := range score.Answers {
		y := labels[i]
		matrix[y][answer] += 100 / float64(score.Classes[y].Images)
	}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s, %s: of each class, %% with each answer", score.Mode, score.Split)
	p.X.Label.Text, p.Y.Label.Text = "answer", "class"
	heat := plotter.NewHeatMap(matrix, white{})
	heat.Min, heat.Max = 0, 100
	p.Add(heat)
	ticks := func(at func(i int) float64) plot.ConstantTicks {
		var t plot.ConstantTicks
		for i, l := range names {
			t = append(t, plot.Tick{Value: at(i), Label: l})
		}
		return t
	}
	p.X.Tick.Marker = ticks(func(i int) float64 { return float64(i) })
	p.Y.Tick.Marker = ticks(func(i int) float64 { return float64(n - 1 - i) })
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = 1.2, text.XRight, text.YCenter
	if n <= 20 {
		if err := numbers(p, matrix); err != nil {
			return nil, err
		}
	}
	side := min(max(12, vg.Length(n)), 18) * vg.Centimeter // of a few classes no wider than a telephone
	canvas := vgsvg.New(side, side)
	p.Draw(draw.New(canvas))
	return document(canvas)
}

// numbers writes the shares of more than half a percent into the cells.
func numbers(p *plot.Plot, matrix shares) error {
	var cells plotter.XYLabels
	for y, row := range matrix {
		for x, v := range row {
			if v > 0.5 {
				cells.XYs = append(cells.XYs, plotter.XY{X: float64(x), Y: float64(len(matrix) - 1 - y)})
				cells.Labels = append(cells.Labels, fmt.Sprintf("%.0f", v))
			}
		}
	}
	l, err := plotter.NewLabels(cells)
	if err != nil {
		return err
	}
	size := vg.Points(8)
	if len(matrix) <= 10 {
		size = vg.Points(12)
	}
	for i := range l.TextStyle {
		l.TextStyle[i].XAlign, l.TextStyle[i].YAlign, l.TextStyle[i].Font.Size = text.XCenter, text.YCenter, size
	}
	p.Add(l)
	return nil
}

// white is a palette from white to the blue of the curves, so light that black numbers
// stand out.
type white struct{}

func (white) Colors() []color.Color {
	colors := make([]color.Color, 64)
	for i := range colors {
		share := func(c uint8) uint8 { return uint8(255 - (255-int(c))*i*7/(10*(len(colors)-1))) }
		c := colours[0]
		colors[i] = color.RGBA{share(c.R), share(c.G), share(c.B), 255}
	}
	return colors
}

var _ palette.Palette = white{}
