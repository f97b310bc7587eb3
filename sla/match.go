package sla

// MatchScale is what cosines are multiplied by to be the logits of a match.
const MatchScale = 10

// Features gives the directions of the image's views, z_j/|z_j|: (M, F), valid until
// the next call. Like RunFor it may return nil and want to be called again.
//
// A user who shows a classifier things of other classes than it was trained on adds the
// directions up, for each class those of all its images: that is a gallery, (classes, M,
// F), for Match.
func (c *Classifier) Features(macs int) ([]float32, error) {
	if _, err := c.look(c.joint.Views, macs, nil); c.passes < c.joint.Views {
		return nil, err
	}
	c.directions = c.directions[:0]
	for _, z := range c.features {
		c.directions = appendUnit(c.directions, z)
	}
	return c.directions, nil
}

// appendUnit appends z/|z|.
func appendUnit(to, z []float32) []float32 {
	l := length(z)
	for _, v := range z {
		to = append(to, v/l)
	}
	return to
}

// Match classifies the image by a gallery: a joint head whose row (i, j) is the mean
// direction of class i under transformation j, and whose logits are 10 times the
// cosine between that and z_j; they are aggregated (prototypes as of Snell et al.
// 2017, cosines as of Gidaris and Komodakis 2018). Like RunFor it may return nil and want to be called
// again.
func (c *Classifier) Match(gallery []float32, macs int) (*Result, error) {
	views, width := c.joint.Views, len(c.features[0])
	rows := len(gallery) / width
	if rows == 0 || rows%views != 0 || len(gallery)%width != 0 {
		return nil, errGallery
	}
	if _, err := c.look(views, macs, nil); c.passes < views {
		return nil, err
	}
	head := linear{b: make([]float32, rows), scale: MatchScale}
	for i := 0; i < len(gallery); i += width {
		head.w = appendUnit(head.w, gallery[i:i+width])
	}
	n := rows / views
	c.views = make([]float32, max(rows, len(c.views)))
	c.result = Result{Mode: Matched, Passes: views, Logits: make([]float32, n), Probabilities: make([]float32, n)}
	c.aggregate(&head, Joint{n, views}, views)
	softmax(c.result.Probabilities, c.result.Logits, 1)
	return &c.result, nil
}
