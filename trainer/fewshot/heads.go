package fewshot

import (
	"errors"
	"fmt"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/quarterturn/quarterturn/sla"
)

// A Head classifies queries (q, F) by a support (s, F), whose row r is of class
// classes[r] out of n; rows have length 1. It returns logits (q, n) and a function from
// their gradient to those of support and queries.
type Head func(support, queries *mat.Dense, classes []int, n int) (logits *mat.Dense, backward func(d *mat.Dense) (dSupport, dQueries *mat.Dense), err error)

var heads = []struct {
	name string
	head Head
}{{"proto", prototypes}, {"ridge", ridge}}

// ParseHead returns the head of a name, proto or ridge.
func ParseHead(name string) (Head, error) {
	var names []string
	for _, h := range heads {
		if h.name == name {
			return h.head, nil
		}
		names = append(names, h.name)
	}
	return nil, fmt.Errorf("head %q: want %s", name, strings.Join(names, " or "))
}

// prototypes is the head of prototypical networks (Snell et al. 2017), with the cosine
// for a distance (Gidaris and Komodakis 2018), as galleries have it everywhere: logits
// are sla.MatchScale times the cosine between a query and the mean of a class.
func prototypes(support, queries *mat.Dense, classes []int, n int) (*mat.Dense, func(d *mat.Dense) (dSupport, dQueries *mat.Dense), error) {
	_, features := support.Dims()
	unit := mat.NewDense(n, features, nil) // the directions of the sums
	for r, y := range classes {
		sum := unit.RawRowView(y)
		for k, v := range support.RawRowView(r) {
			sum[k] += v
		}
	}
	lengths := make([]float64, n)
	for y := range n {
		row := mat.NewVecDense(features, unit.RawRowView(y))
		lengths[y] = max(1e-12, mat.Norm(row, 2))
		row.ScaleVec(1/lengths[y], row)
	}
	var logits mat.Dense
	logits.Mul(queries, unit.T())
	logits.Scale(sla.MatchScale, &logits)
	backward := func(d *mat.Dense) (*mat.Dense, *mat.Dense) {
		var dUnit, dQueries mat.Dense
		dUnit.Mul(d.T(), queries)
		dUnit.Scale(sla.MatchScale, &dUnit)
		dQueries.Mul(d, unit)
		dQueries.Scale(sla.MatchScale, &dQueries)
		for y := range n { // of the sums, now
			row, u := mat.NewVecDense(features, dUnit.RawRowView(y)), mat.NewVecDense(features, unit.RawRowView(y))
			row.AddScaledVec(row, -mat.Dot(row, u), u)
			row.ScaleVec(1/lengths[y], row)
		}
		dSupport := mat.NewDense(len(classes), features, nil)
		for r, y := range classes {
			copy(dSupport.RawRowView(r), dUnit.RawRowView(y))
		}
		return dSupport, &dQueries
	}
	return &logits, backward, nil
}

// ridgeLambda is the weight of the squared norm in ridge: on rows of length 1, where
// MetaOptNet has 50 on rows of any.
const ridgeLambda = 1

// ridge is the head of MetaOptNet-RR and of R2D2 (Lee et al. 2019; Bertinetto et al.
// 2019): the weights W that minimise |S W - Y|² + λ|W|² for the support S and its one-hot
// classes Y, in closed form, W = Sᵀ(S Sᵀ + λ)⁻¹Y. Logits are sla.MatchScale times the
// queries' Q W; MetaOptNet learns that factor.
func ridge(support, queries *mat.Dense, classes []int, n int) (*mat.Dense, func(d *mat.Dense) (dSupport, dQueries *mat.Dense), error) {
	rows, _ := support.Dims()
	var gram mat.SymDense
	gram.SymOuterK(1, support)
	for r := range rows {
		gram.SetSym(r, r, gram.At(r, r)+ridgeLambda)
	}
	var a mat.Cholesky
	if !a.Factorize(&gram) {
		return nil, nil, errors.New("ridge regression: the features are not finite")
	}
	oneHot := mat.NewDense(rows, n, nil)
	for r, y := range classes {
		oneHot.Set(r, y, 1)
	}
	var inverse mat.SymDense
	if err := a.InverseTo(&inverse); err != nil {
		return nil, nil, fmt.Errorf("ridge regression: %w", err)
	}
	var dual, similarity, logits mat.Dense // A⁻¹Y, Q Sᵀ
	dual.Mul(&inverse, oneHot)
	similarity.Mul(queries, support.T())
	logits.Mul(&similarity, &dual)
	logits.Scale(sla.MatchScale, &logits)
	backward := func(d *mat.Dense) (*mat.Dense, *mat.Dense) {
		var g, dSimilarity, dDual, solved, dA, symmetric, dQueries, dSupport, more mat.Dense
		g.Scale(sla.MatchScale, d)
		dSimilarity.Mul(&g, dual.T())
		dDual.Mul(similarity.T(), &g)
		// B = A⁻¹Y, so dA = -A⁻¹ dB Bᵀ; A = S Sᵀ + λ, so dS = (dA + dAᵀ) S.
		solved.Mul(&inverse, &dDual)
		dA.Mul(&solved, dual.T())
		dA.Scale(-1, &dA)
		symmetric.Add(&dA, dA.T())
		dSupport.Mul(&symmetric, support)
		more.Mul(dSimilarity.T(), queries)
		dSupport.Add(&dSupport, &more)
		dQueries.Mul(&dSimilarity, support)
		return &dSupport, &dQueries
	}
	return &logits, backward, nil
}
