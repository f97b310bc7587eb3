// Package parallel shares loops out over the processors.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Workers is the number of goroutines that For uses.
func Workers() int { return runtime.GOMAXPROCS(0) }

// For calls f for every i in 0..n-1, on several goroutines; worker, below
// Workers, tells them apart. What f computes must not depend on worker.
func For(n int, f func(worker, i int)) {
	workers := min(n, Workers())
	if workers <= 1 {
		for i := range n {
			f(0, i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(w, i)
			}
		})
	}
	wg.Wait()
}

// Try is For where f may fail. It returns the error of the first i that has one, which tells of all.
func Try(n int, f func(worker, i int) error) error {
	failures := make([]error, n)
	For(n, func(worker, i int) { failures[i] = f(worker, i) })
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}
