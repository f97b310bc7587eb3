package nhwc

import "unsafe"

// A maxPoolKernel makes a row of 2x2 max pooling: y (pixels, channels) of x, two rows of
// 2*pixels pixels, xRow bytes apart. The bits of column and row say, one an element of
// y, whether the first of the largest is in the second column and in the second row of
// its window.
type maxPoolKernel = func(y *float32, column, row *byte, x *float32, xRow, channels, pixels uintptr)

// A maxPoolGradKernel makes a row of the gradient of x, all of it.
type maxPoolGradKernel = func(dx *float32, dxRow uintptr, column, row *byte, dy *float32, channels, pixels uintptr)

func maxPoolGo(y *float32, column, row *byte, x *float32, xRow, channels, pixels uintptr) {
	for p := range pixels {
		for c := range channels {
			k := p*channels + c
			bit := byte(1) << (k % 8)
			columns, rows := (*byte)(unsafe.Add(unsafe.Pointer(column), k/8)), (*byte)(unsafe.Add(unsafe.Pointer(row), k/8))
			*columns, *rows = *columns&^bit, *rows&^bit
			to := (*float32)(unsafe.Add(unsafe.Pointer(y), k*float))
			for i := range uintptr(4) {
				v := *(*float32)(unsafe.Add(unsafe.Pointer(x), i/2*xRow+((2*p+i%2)*channels+c)*float))
				if i > 0 && !(v > *to) {
					continue
				}
				*to = v
				*columns, *rows = *columns&^bit, *rows&^bit
				if i%2 == 1 {
					*columns |= bit
				}
				if i/2 == 1 {
					*rows |= bit
				}
			}
		}
	}
}

func maxPoolGradGo(dx *float32, dxRow uintptr, column, row *byte, dy *float32, channels, pixels uintptr) {
	for p := range pixels {
		for c := range channels {
			k := p*channels + c
			columns, rows := *(*byte)(unsafe.Add(unsafe.Pointer(column), k/8)), *(*byte)(unsafe.Add(unsafe.Pointer(row), k/8))
			at := uintptr(columns>>(k%8)&1) + 2*uintptr(rows>>(k%8)&1)
			for i := range uintptr(4) {
				var d float32
				if i == at {
					d = *(*float32)(unsafe.Add(unsafe.Pointer(dy), k*float))
				}
				*(*float32)(unsafe.Add(unsafe.Pointer(dx), i/2*dxRow+((2*p+i%2)*channels+c)*float)) = d
			}
		}
	}
}

// A pool2 is 2x2 max pooling, two pixels apart, of padded images; an odd last row or
// column is left out. Its bits are those of a batch.
type pool2 struct {
	height, width, channels int // of its input
	column, row             []byte
}

func newPool2(images, height, width, channels int) *pool2 {
	p := &pool2{height: height, width: width, channels: channels}
	p.column, p.row = make([]byte, images*p.bits()), make([]byte, images*p.bits())
	return p
}

// bits is the number of bytes of an image.
func (p *pool2) bits() int { return p.height / 2 * p.rowBits() }

func (p *pool2) rowBits() int { return p.width / 2 * p.channels / 8 }

// rows calls f for every row of the output of image n, with the places of its first pixel
// and of that of its windows, and that of its bits.
func (p *pool2) rows(n int, f func(out, window, bits int)) {
	for y := range p.height / 2 {
		f(((y+1)*(p.width/2+2)+1)*p.channels, ((2*y+1)*(p.width+2)+1)*p.channels, n*p.bits()+y*p.rowBits())
	}
}

// forward makes image n.
func (p *pool2) forward(n int, y, x []float32) {
	set, _ := choose(p.channels)
	p.rows(n, func(out, window, bits int) {
		set.maxPool(&y[out], &p.column[bits], &p.row[bits], &x[window], bytes((p.width+2)*p.channels), uintptr(p.channels), uintptr(p.width/2))
	})
}

// backward makes the gradient of x, for image n: all of an output's goes to the first of
// the largest values of its window, as in PyTorch.
func (p *pool2) backward(n int, dx, dy []float32) {
	set, _ := choose(p.channels)
	row := (p.width + 2) * p.channels
	p.rows(n, func(out, window, bits int) {
		set.maxPoolGrad(&dx[window], bytes(row), &p.column[bits], &p.row[bits], &dy[out], uintptr(p.channels), uintptr(p.width/2))
		if p.width%2 == 1 {
			for _, r := range []int{window, window + row} {
				clear(dx[r+(p.width-1)*p.channels:][:p.channels])
			}
		}
	})
	if p.height%2 == 1 {
		clear(dx[(p.height*(p.width+2)+1)*p.channels:][:p.width*p.channels])
	}
}
