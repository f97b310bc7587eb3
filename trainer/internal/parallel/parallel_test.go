package parallel

import (
	"errors"
	"fmt"
	"testing"
)

// Try calls f for every i, whatever fails, and returns the error of the first.
func TestTry(t *testing.T) {
	for _, n := range []int{0, 1, 100} {
		seen := make([]bool, n)
		err := Try(n, func(worker, i int) error {
			if seen[i] = true; worker < 0 || worker >= Workers() {
				return errors.New("no such worker")
			}
			if i >= n/2 {
				return fmt.Errorf("%d fails", i)
			}
			return nil
		})
		if n > 0 && (err == nil || err.Error() != fmt.Sprint(n/2, " fails")) || n == 0 && err != nil {
			t.Errorf("%d calls: %v", n, err)
		}
		for i, called := range seen {
			if !called {
				t.Errorf("%d of %d was not called", i, n)
			}
		}
	}
	if err := Try(10, func(_, _ int) error { return nil }); err != nil {
		t.Error(err)
	}
}
