// Package optim turns gradients into steps: solvers, the schedules of their learning
// rate, and running averages of what they arrive at. It knows no graph.
package optim
