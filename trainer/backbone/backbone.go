// Package backbone has the slab that training starts from if nothing else is said. Its card,
// README.md beside it, says what it was trained on and how.
package backbone

import _ "embed"

// Slab is the file. To ship another, put it in its place.
//
//go:embed backbone.slab
var Slab []byte
