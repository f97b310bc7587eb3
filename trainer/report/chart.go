package report

import (
	"image/color"
	"math"
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
	inRow, placed := map[string]int{}, map[string]int{} // numbers of points
	for _, p := range points {
		inRow[p.Row]++
		if !slices.Contains(rows, p.Row) {
			rows = append(rows, p.Row)
		}
		if !slices.Contains(series, p.Series) {
			series = append(series, p.Series)
		}
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text = title, x
	low, high := math.Inf(1), math.Inf(-1)
	var marks []plot.Plotter
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
			// The first row is the topmost; the points of a row lie a little apart.
			y := float64(len(rows)-1-slices.Index(rows, point.Row)) + 0.12*(float64(inRow[point.Row]-1)/2-float64(placed[point.Row]))
			placed[point.Row]++
			low, high = min(low, mean-spread), max(high, mean+spread)
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
		marks = append(marks, whiskers, scatter)
		p.Legend.Add(name, scatter)
	}
	// Names stand above their rows: beside them, their width would have to be known, and
	// whoever looks at the SVG has other fonts.
	p.HideY()
	edge := (high-low)/20 + 0.1
	p.X.Min, p.X.Max = low-edge, high+edge
	names := plotter.XYLabels{Labels: rows}
	for i := range rows {
		y := float64(len(rows) - 1 - i)
		names.XYs = append(names.XYs, plotter.XY{X: p.X.Min, Y: y + 0.36})
		rule, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: y}, {X: p.X.Max, Y: y}})
		if err != nil {
			return nil, err
		}
		rule.Color = color.Gray{220}
		p.Add(rule)
	}
	labels, err := plotter.NewLabels(names)
	if err != nil {
		return nil, err
	}
	p.Add(labels)
	p.Add(marks...)
	p.Y.Min, p.Y.Max = -0.6, float64(len(rows))+0.4*float64(len(series))-0.4 // with room for the legend
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font.Size = vg.Points(9)
	height := vg.Length(3+p.Y.Max) * vg.Centimeter
	canvas := vgsvg.New(18*vg.Centimeter, height)
	p.Draw(draw.Crop(draw.New(canvas), 4*vg.Millimeter, -4*vg.Millimeter, 2*vg.Millimeter, -2*vg.Millimeter))
	return document(canvas)
}
