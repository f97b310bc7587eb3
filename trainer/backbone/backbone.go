// Package backbone has the slab that training starts from if nothing else is said.
package backbone

import "github.com/quarterturn/quarterturn/www"

// Slab is the one that the page shows, too: see www/models/README.md for what it was trained
// on and how. To ship another, embed its file here.
var Slab = www.Model
