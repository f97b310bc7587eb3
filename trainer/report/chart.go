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
	p := plot.New()
	p.Title.Text, p.X.Label.Text = title, x
	rows := newChartRows(points)
	marks, err := rows.marks(points, &p.Legend)
	if err != nil {
		return nil, err
	}
	edge := (rows.high-rows.low)/20 + 0.1
	p.X.Min, p.X.Max = rows.low-edge, rows.high+edge
	names, err := rows.label(p.X.Min, p.X.Max)
	if err != nil {
		return nil, err
	}
	p.Add(names...)
	p.Add(marks...)
	p.HideY()
	p.Y.Min, p.Y.Max = -0.6, float64(len(rows.names))+0.4*float64(len(rows.series))-0.4 // with room for the legend
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font.Size = vg.Points(9)
	height := vg.Length(3+p.Y.Max) * vg.Centimeter
	canvas := vgsvg.New(18*vg.Centimeter, height)
	p.Draw(draw.Crop(draw.New(canvas), 4*vg.Millimeter, -4*vg.Millimeter, 2*vg.Millimeter, -2*vg.Millimeter))
	return document(canvas)
}

// A chartRows places the points of a chart.
type chartRows struct {
	names, series []string
	points        map[string]int // of each row
	placed        map[string]int // of those
	low, high     float64        // of the values placed, with their bars
}

func newChartRows(points []ChartPoint) *chartRows {
	r := &chartRows{points: map[string]int{}, placed: map[string]int{}, low: math.Inf(1), high: math.Inf(-1)}
	for _, p := range points {
		r.points[p.Row]++
		if !slices.Contains(r.names, p.Row) {
			r.names = append(r.names, p.Row)
		}
		if !slices.Contains(r.series, p.Series) {
			r.series = append(r.series, p.Series)
		}
	}
	return r
}

// place returns where a point goes, and the length of its bar to either side. The first row is the topmost; the
// points of a row lie a little apart.
func (r *chartRows) place(p ChartPoint) (at plotter.XY, spread float64) {
	at.X = p.Values[0]
	if len(p.Values) > 1 {
		at.X, spread = stat.MeanStdDev(p.Values, nil)
	}
	row := float64(len(r.names) - 1 - slices.Index(r.names, p.Row))
	at.Y = row + 0.12*(float64(r.points[p.Row]-1)/2-float64(r.placed[p.Row]))
	r.placed[p.Row]++
	r.low, r.high = min(r.low, at.X-spread), max(r.high, at.X+spread)
	return at, spread
}

// marks draws the points, a series after the other, each with its place in the legend.
func (r *chartRows) marks(points []ChartPoint, legend *plot.Legend) (marks []plot.Plotter, err error) {
	for s, name := range r.series {
		var dots plotter.XYs
		var bars plotter.XErrors
		for _, point := range points {
			if point.Series == name {
				at, spread := r.place(point)
				dots = append(dots, at)
				bars = append(bars, struct{ Low, High float64 }{spread, spread})
			}
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
		legend.Add(name, scatter)
	}
	return marks, nil
}

// label draws a line for each row, and its name above: beside it, the name's width would have to be known, and
// whoever looks at the SVG has other fonts.
func (r *chartRows) label(left, right float64) (marks []plot.Plotter, err error) {
	names := plotter.XYLabels{Labels: r.names}
	for i := range r.names {
		y := float64(len(r.names) - 1 - i)
		names.XYs = append(names.XYs, plotter.XY{X: left, Y: y + 0.36})
		rule, err := plotter.NewLine(plotter.XYs{{X: left, Y: y}, {X: right, Y: y}})
		if err != nil {
			return nil, err
		}
		rule.Color = color.Gray{220}
		marks = append(marks, rule)
	}
	labels, err := plotter.NewLabels(names)
	if err != nil {
		return nil, err
	}
	return append(marks, labels), nil
}
