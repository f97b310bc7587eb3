package nhwc

// sums adds x to sum and its squares to square.
func sumsGo(sum, square, x []float32) {
	for i, v := range x {
		sum[i] += v
		square[i] += v * v
	}
}

// affine writes y = act(x*scale + shift + residual); residual may be nil.
func affineGo(y, x, scale, shift, residual []float32, relu bool) {
	for i, v := range x {
		v = v*scale[i] + shift[i]
		if residual != nil {
			v += residual[i]
		}
		if relu && v < 0 {
			v = 0
		}
		y[i] = v
	}
}

func passes(relu bool, y float32) bool { return !relu || y > 0 }

// gradSums adds dy, where the activation passes it, to sum, and its product
// with x to product.
func gradSumsGo(sum, product, x, dy, y []float32, relu bool) {
	for i, g := range dy {
		if passes(relu, y[i]) {
			sum[i] += g
			product[i] += g * x[i]
		}
	}
}

// gradApply writes dx = k1*dy + k2 + k3*x, dy where the activation passes it.
func gradApplyGo(dx, x, dy, k1, k2, k3, y []float32, relu bool) {
	for i, g := range dy {
		if !passes(relu, y[i]) {
			g = 0
		}
		dx[i] = k1[i]*g + k2[i] + k3[i]*x[i]
	}
}

// mask writes dy where the activation passes it.
func maskGo(d, dy, y []float32, relu bool) {
	for i, g := range dy {
		if !passes(relu, y[i]) {
			g = 0
		}
		d[i] = g
	}
}
