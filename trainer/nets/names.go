package nets

import "slices"

// didYouMean returns a question about the net whose name differs in one or two letters, or
// nothing.
func didYouMean(name string) string {
	known := []string{"resnet8", "resnet14", "resnet20", "resnet26", "resnet32", "resnet44", "resnet56", "resnet18", "fast32", "fast64", "conv4", "resnet12"}
	best := slices.MinFunc(known, func(a, b string) int { return edits(name, a) - edits(name, b) })
	if edits(name, best) > 2 {
		return ""
	}
	return ", did you mean " + best + "?"
}

// edits counts the letters to insert, delete or replace (Levenshtein 1966).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
