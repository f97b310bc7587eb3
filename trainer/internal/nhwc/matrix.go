package nhwc

// MatMul sets y (rows, n) to a (rows, m) times b (m, n); n is a multiple of 8.
func MatMul(y, a, b []float32, rows, m, n int) {
	set, vectors := choose(n)
	byTile := set.forward[vectors]
	for k := 0; k < n; k += set.lanes * vectors {
		for r := 0; r < rows; r += len(byTile) - 1 {
			tile := min(len(byTile)-1, rows-r)
			byTile[tile](&a[r*m], bytes(m), 0, uintptr(m), 1, &b[k], bytes(n), &y[r*n+k], bytes(n))
		}
	}
}

// MatMulTransposed sets y (m, n) to aᵀ b, for a (rows, m) and b (rows, n); n is a multiple
// of 8.
func MatMulTransposed(y, a, b []float32, rows, m, n int) {
	clear(y[:m*n])
	multiplyGrad(y, a, b, rows, m, n)
}
