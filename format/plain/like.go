package plain

import "slices"

// DidYouMean returns a question, to follow a statement, about the one of the known names that
// differs in one or two letters from what somebody wrote; or nothing.
func DidYouMean(name string, known []string) string {
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
