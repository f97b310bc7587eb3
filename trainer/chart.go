package trainer

import (
	"bytes"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A ChartPoint is a dot of a chart.
type ChartPoint struct {
	Row, Series string
	Values      []float64 // one a seed: the dot is at their mean, with a bar of their standard deviation to both sides
}

// Chart draws points, a row for each of their rows and a colour for each series, both in
// the order in which they first come, as SVG. x says what the values are.
func Chart(title, x string, points []ChartPoint) ([]byte, error) {
	var rows, series []string
	for _, p := range points {
		if !slices.Contains(rows, p.Row) {
			rows = append(rows, p.Row)
		}
		if !slices.Contains(series, p.Series) {
			series = append(series, p.Series)
		}
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text = title, x
	p.Add(plotter.NewGrid())
	for s, name := range series {
		var dots plotter.XYs
		var bars plotter.XErrors
		for _, point := range points {
			if point.Series != name {
				continue
			}
			mean, spread := point.Values[0], 0.0
			if len(point.Values) > 1 {
				mean, spread = stat.MeanStdDev(point.Values, nil)
			}
			// The first row is the topmost; the series of a row lie a little apart.
			y := float64(len(rows)-1-slices.Index(rows, point.Row)) + 0.12*(float64(len(series)-1)/2-float64(s))
			dots = append(dots, plotter.XY{X: mean, Y: y})
			bars = append(bars, struct{ Low, High float64 }{spread, spread})
		}
		scatter, err := plotter.NewScatter(dots)
		if err != nil {
			return nil, err
		}
		whiskers, err := plotter.NewXErrorBars(struct {
			plotter.XYs
			plotter.XErrors
		}{dots, bars})
		if err != nil {
			return nil, err
		}
		c := colours[s%len(colours)]
		scatter.Color, scatter.Shape, scatter.Radius = c, draw.CircleGlyph{}, vg.Points(3)
		whiskers.Color, whiskers.CapWidth = c, 0
		p.Add(whiskers, scatter)
		p.Legend.Add(name, scatter)
	}
	slices.Reverse(rows)
	p.NominalY(rows...)
	p.Y.Min, p.Y.Max = -0.6, float64(len(rows))-0.4
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font.Size = vg.Points(9)
	canvas := vgsvg.New(20*vg.Centimeter, vg.Length(3+len(rows))*vg.Centimeter)
	p.Draw(draw.Crop(draw.New(canvas), 2*vg.Millimeter, -5*vg.Millimeter, 2*vg.Millimeter, -2*vg.Millimeter))
	var b bytes.Buffer
	_, err := canvas.WriteTo(&b)
	return b.Bytes(), err
}
