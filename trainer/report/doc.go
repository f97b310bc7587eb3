// Package report draws what a run did: curves by epoch, confusion matrices and charts of
// experiments as SVG, and events for TensorBoard.
package report
