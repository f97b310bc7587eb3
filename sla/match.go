package sla

// MatchScale is what cosines are multiplied by to be the logits of a match.
const MatchScale = 10

var errGallery = modeError("a gallery needs a row of features for each class and view")

// Features returns the directions of the image's views, z_j/|z_j|: (M, F), valid until
// the next call. Like RunBudget it may return nil and want to be called again.
//
// A user who shows a classifier things of other classes than it was trained on adds the
// directions up, for each class those of all its images: that is a gallery, (classes, M,
// F), for Match.
func (c *Classifier) Features(work int) ([]float32, error) {
	if _, err := c.runViews(c.joint.Views, work); c.passes < c.joint.Views {
		return nil, err
	}
	c.directions = c.directions[:0]
	for _, f := range c.features {
		c.directions = appendUnit(c.directions, f.z)
	}
	return c.directions, nil
}

// appendUnit appends z/|z|.
func appendUnit(to, z []float32) []float32 {
	l := length(z)
	for _, v := range z {
		to = append(to, canonical(v/l))
	}
	return to
}

// Match classifies the image by a gallery, (classes, M, F): a joint head whose row (i, j)
// is the mean direction of class i under transformation j, and whose logits are MatchScale
// times the cosine between that and z_j; they are aggregated (prototypes as of Snell et al.
// 2017, cosines as of Gidaris and Komodakis 2018). Like RunBudget it may return nil and
// want to be called again. The error is ErrMode for a gallery of another size.
func (c *Classifier) Match(gallery []float32, work int) (*Result, error) {
	views, width := c.joint.Views, len(c.features[0].z)
	rows := len(gallery) / width
	if rows == 0 || rows%views != 0 || len(gallery)%width != 0 {
		return nil, errGallery
	}
	if _, err := c.runViews(views, work); c.passes < views {
		return nil, err
	}
	c.matching.scale = MatchScale
	c.matching.w = c.matching.w[:0]
	for i := 0; i < len(gallery); i += width {
		c.matching.w = appendUnit(c.matching.w, gallery[i:i+width])
	}
	c.matching.b = resized(c.matching.b, rows)
	n := rows / views
	c.matched.Mode, c.matched.Passes = Matched, views
	c.matched.Logits = resized(c.matched.Logits, n)
	c.matched.Probabilities = resized(c.matched.Probabilities, n)
	c.matched.Views = resized(c.matched.Views, rows)
	for j := range views {
		c.matching.conditional(c.matched.Views[j*n:(j+1)*n], Joint{n, views}, j, &c.features[j])
	}
	MeanOfViews(c.matched.Logits, c.matched.Views)
	softmax(c.matched.Probabilities, c.matched.Logits, 1)
	return &c.matched, nil
}

// resized is a slice of n zeros, in the memory of s if it is enough.
func resized(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	s = s[:n]
	clear(s)
	return s
}
