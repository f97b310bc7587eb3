// Package fashionmini embeds a subset of Fashion-MNIST: of each of its ten
// classes the first 400 training and the first 200 test images, 28x28 grey, as
// gzipped IDX files. Fashion-MNIST is copyright Zalando SE and under the MIT
// licence in LICENSE; the command cut beside this package made the subset.
package fashionmini

import "embed"

// Files holds the four IDX files under their usual names.
//
//go:embed *.gz LICENSE
var Files embed.FS
