// Package bench times a slab on several engines side by side: each round runs
// every mode once on every engine, so that what else the machine does falls on
// all of them alike.
package bench
