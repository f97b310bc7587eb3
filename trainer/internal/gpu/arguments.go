package gpu

// The arguments of the kernels, field by field as in the CUDA source.

// A Map is a batch of images with a border of one pixel.
type Map struct{ Images, Height, Width, Channels int32 }

// NewMap makes one.
func NewMap(images, height, width, channels int) Map {
	return Map{int32(images), int32(height), int32(width), int32(channels)}
}

// Elements is the number of floats without the border.
func (m Map) Elements() int { return int(m.Images) * int(m.Height) * int(m.Width) * int(m.Channels) }

// Pixels is the number of pixels without the border.
func (m Map) Pixels() int { return int(m.Images) * int(m.Height) * int(m.Width) }

type convolve struct {
	X, W, Y                              Ptr
	Pixels, Height, Width                int32
	XImage, XLine, XPixel, XStart        int32
	XTap, Taps, Length                   int32
	YImage, YLine, YPixel, YStart, OutCh int32
}

type weights struct {
	X, DY, Partial                       Ptr
	Pixels, Height, Width                int32
	XImage, XLine, XPixel, XStart        int32
	XTap, Taps, Length                   int32
	YImage, YLine, YPixel, YStart, OutCh int32
	Per                                  int32
}

type reduce struct {
	Src, Dst      Ptr
	Count, Slices int32
}

type turn struct {
	W, Turned, Taps Ptr
	Count, In, Out  int32
}

type normSums struct {
	X, DY, Y, M, Partial Ptr
	Map                  Map
	Per                  int32
}

type normReady struct {
	Partial, Gamma, Beta                                  Ptr
	Mean, Std, Scale, Shift, RunningMean, RunningVariance Ptr
	Blocks, Channels                                      int32
	Count, Epsilon, Momentum                              float32
}

type normApply struct {
	X, Scale, Shift, Residual, Y Ptr
	Map                          Map
	ReLU                         int32
}

type normReadyGrad struct {
	Partial, Gamma, Mean, Std Ptr
	DGamma, DBeta, K1, K2, K3 Ptr
	Blocks, Channels          int32
	Count                     float32
}

type normGrad struct {
	X, M, K1, K2, K3, D Ptr
	Map                 Map
}

// Pool is that of pool (X, To) and of pool_grad (X, Y, DY, To): 3x3 windows around every
// other pixel, of numbers that are not negative, or 2x2 windows.
type Pool struct {
	X, Y, DY, To Ptr
	In, Out      Map
	Size         int32 // 3 or 2
}

// Shortcut is that of shortcut and shortcut_grad.
type Shortcut struct {
	From, To Ptr
	In, Out  Map
	Stride   int32
}

// Mean is that of mean and mean_grad.
type Mean struct {
	From, To Ptr
	Map      Map
}

// Add is that of add.
type Add struct {
	A, B, To Ptr
	Count    int32
}

// Linear is that of linear (Z, W, B, To), linear_dz (W, DY, To) and linear_dw (Z, DY, To, Bias).
type Linear struct {
	Z, W, B, DY, To, Bias           Ptr
	Rows, Features, Outputs, Stride int32
}

// Normalise is that of normalise (X, To) and normalise_grad (X, Y, DY, To).
type Normalise struct {
	X, Y, DY, To Ptr
	Rows, Width  int32
	Length       float32
}

// A Balance is a part of CrossEntropy and Distil.
type Balance struct {
	Weights, Margins Ptr
	Gamma, Scale     float32
}

// CrossEntropy is that of cross_entropy.
type CrossEntropy struct {
	Logits, Targets, Grad, Loss           Ptr
	Balance                               Balance
	Rows, Outputs, Classes, Views, Labels int32
}

// Distil is that of distil.
type Distil struct {
	Logits, Student, Targets, Grad, Loss, Teacher Ptr
	Balance                                       Balance
	Images, Classes, Views                        int32
	Temperature                                   float32
}

// Total is that of total, one block.
type Total struct {
	Src, Dst      Ptr
	Count, Square int32
}

// A Step is what all parameters' SGD shares.
type Step struct {
	Rate, Momentum, Scale float32
	Nesterov              int32
}

// SGD is that of sgd.
type SGD struct {
	W, V, G, Step Ptr
	Count         int32
	Decay         float32
}

// Views is that of views.
type Views struct {
	Pixels, Levels, Transforms, Partner          Ptr
	To                                           Ptr
	Images, Views, Height, Width, Channels, Edge int32
	Mixup                                        int32
	Share                                        float32
	Top, Left, Bottom, Right                     int32
}
