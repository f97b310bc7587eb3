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

// gradSums adds dy to sum, and its product with x to product.
func gradSumsGo(sum, product, x, dy []float32) {
	for i, g := range dy {
		sum[i] += g
		product[i] += g * x[i]
	}
}

// maskSums writes to m dy where y is positive, else zero, and is gradSums of m.
func maskSumsGo(m, sum, product, x, dy, y []float32) {
	for i, g := range dy {
		if y[i] <= 0 {
			g = 0
		}
		m[i] = g
		sum[i] += g
		product[i] += g * x[i]
	}
}

// maskNormSums is maskSums for the y that affine makes of x with ReLU.
func maskNormSumsGo(m, sum, product, x, dy, scale, shift []float32) {
	for i, g := range dy {
		if x[i]*scale[i]+shift[i] <= 0 {
			g = 0
		}
		m[i] = g
		sum[i] += g
		product[i] += g * x[i]
	}
}

// gradApply writes dx = k1*dy + k2 + k3*x.
func gradApplyGo(dx, x, dy, k1, k2, k3 []float32) {
	for i, g := range dy {
		dx[i] = k1[i]*g + k2[i] + k3[i]*x[i]
	}
}

// add adds x to y.
func addGo(y, x []float32) {
	for i, v := range x {
		y[i] += v
	}
}

// addPixels adds pixels of len(sum) floats to sum.
func addPixelsGo(sum []float64, x []float32) {
	for len(x) > 0 {
		for c := range sum {
			sum[c] += float64(x[c])
		}
		x = x[len(sum):]
	}
}
