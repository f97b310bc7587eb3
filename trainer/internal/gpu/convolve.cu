// Convolutions of padded NHWC images, as of package nhwc, by tiles in shared memory. See
// kernels.cu, which this file is put behind.

const int BK = 16; // terms of the sums that are in shared memory at a time

// Loops over sums are unrolled, and what has them is inlined, so that they are in registers.

// A Run is so many neighbouring floats, which are loaded at once.
template <int N>
struct __align__(4 * N) Run {
	float v[N];
};

// Sums are those of a tile that one of 256 threads makes, out of rows xs[BK][LX] and
// columns ws[BK][LW] in shared memory: TM by TN of them, neighbours of each other.
template <int BN, int TM, int TN, int LX, int LW>
struct Sums {
	static const int count = TM * TN;
	float sum[TM][TN] = {};

	__device__ __forceinline__ void add(const float *xs, const float *ws) {
		xs += row(0);
		ws += column(0);
		#pragma unroll
		for (int s = 0; s < BK; s++) {
			Run<TN> w = *(const Run<TN> *)(ws + s * LW);
			#pragma unroll
			for (int from = 0; from < TM; from += 4) {
				Run<4> x = *(const Run<4> *)(xs + s * LX + from);
				#pragma unroll
				for (int i = 0; i < 4; i++) {
					#pragma unroll
					for (int j = 0; j < TN; j++) sum[from + i][j] = fmaf(x.v[i], w.v[j], sum[from + i][j]);
				}
			}
		}
	}

	__device__ __forceinline__ int row(int e) { return threadIdx.x / (BN / TN) * TM + e / TN; }
	__device__ __forceinline__ int column(int e) { return threadIdx.x % (BN / TN) * TN + e % TN; }
	__device__ __forceinline__ float value(int e) { return sum[e / TN][e % TN]; }
};

#ifndef MMA
// mma adds to the 16x8 sums of a warp the product of 16x8 and 8x8 numbers, rounded to
// TF32, by tensor cores (PTX ISA, mma.m16n8k8). Thread 4g+k of the warp has
//
//	a: (g, k), (g+8, k), (g, k+4), (g+8, k+4)    b: (k, g), (k+4, g)
//	c: (g, 2k), (g, 2k+1), (g+8, 2k), (g+8, 2k+1)
//
// They are there from compute capability 8.0 on.
__device__ __forceinline__ void mma(float *c, const float *a, const float *b) {
#if __CUDA_ARCH__ >= 800
	unsigned x[4], y[2];
	for (int i = 0; i < 4; i++) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(x[i]) : "f"(a[i]));
	for (int i = 0; i < 2; i++) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y[i]) : "f"(b[i]));
	asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
		: "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
#else
	asm volatile("trap;");
#endif
}
#endif

// TensorSums are Sums by tensor cores: a warp makes WM by WN of them, in tiles of 16x8.
template <int BM, int WM, int WN, int LX, int LW>
struct TensorSums {
	static const int count = WM * WN / 32;
	float sum[WM / 16][WN / 8][4] = {};

	__device__ __forceinline__ void add(const float *xs, const float *ws) {
		int g = threadIdx.x % 32 / 4, k = threadIdx.x % 4;
		#pragma unroll
		for (int s = 0; s < BK; s += 8) {
			float b[WN / 8][2];
			#pragma unroll
			for (int j = 0; j < WN / 8; j++) {
				#pragma unroll
				for (int q = 0; q < 2; q++) b[j][q] = ws[(s + k + 4 * q) * LW + left() + 8 * j + g];
			}
			#pragma unroll
			for (int i = 0; i < WM / 16; i++) {
				float a[4];
				#pragma unroll
				for (int q = 0; q < 4; q++) a[q] = xs[(s + k + q / 2 * 4) * LX + top() + 16 * i + g + q % 2 * 8];
				#pragma unroll
				for (int j = 0; j < WN / 8; j++) mma(sum[i][j], a, b[j]);
			}
		}
	}

	__device__ int top() { return threadIdx.x / 32 % (BM / WM) * WM; }
	__device__ int left() { return threadIdx.x / 32 / (BM / WM) * WN; }
	__device__ __forceinline__ int row(int e) { return top() + e / 4 / (WN / 8) * 16 + threadIdx.x % 32 / 4 + e % 4 / 2 * 8; }
	__device__ __forceinline__ int column(int e) { return left() + e / 4 % (WN / 8) * 8 + threadIdx.x % 4 * 2 + e % 2; }
	__device__ __forceinline__ float value(int e) { return sum[e / 4 / (WN / 8)][e / 4 % (WN / 8)][e % 4]; }
};

struct Convolve {
	const float *x, *w;
	float *y;
	int pixels, height, width;                  // of the output, all images'
	int x_image, x_line, x_pixel, x_start;      // where the inputs of an output pixel begin
	int x_tap, taps, length;                    // rows of a window, and floats in a row
	int y_image, y_line, y_pixel, y_start, out; // where its outputs begin, and how many
};

// at is where pixel p of a batch begins.
__device__ int at(int p, int height, int width, int image, int line, int pixel, int start) {
	int x = p % width, y = p / width % height, n = p / width / height;
	return n * image + y * line + x * pixel + start;
}

const int convolve_rows = 128, convolve_pitch = convolve_rows + 4;

// convolve makes 128 pixels of BN outputs:
//
//	y[p][k] = sum over tap < taps, i < length of x[p*x_pixel + tap*x_tap + i] * w[tap*length+i][k]
template <int BN, class S>
__device__ void convolve(const Convolve *args) {
	__shared__ __align__(16) float xs[BK][convolve_pitch], ws[BK][BN];
	const Convolve a = *args;
	int t = threadIdx.x, r = t % BK, p0 = blockIdx.x * convolve_rows, k0 = blockIdx.y * BN;
	int base[convolve_rows / 16];
	for (int i = 0; i < convolve_rows / 16; i++) {
		int p = p0 + t / BK + 16 * i;
		base[i] = p < a.pixels ? at(p, a.height, a.width, a.x_image, a.x_line, a.x_pixel, a.x_start) : -1;
	}
	S sums;
	for (int tap = 0; tap < a.taps; tap++) {
		for (int from = 0; from < a.length; from += BK) {
			for (int i = 0; i < convolve_rows / 16; i++) {
				bool inside = base[i] >= 0 && from + r < a.length;
				xs[r][t / BK + 16 * i] = inside ? a.x[base[i] + tap * a.x_tap + from + r] : 0;
			}
			for (int e = t; e < BK * BN; e += 256) {
				int row = from + e / BN, k = k0 + e % BN;
				ws[e / BN][e % BN] = row < a.length && k < a.out ? a.w[(tap * a.length + row) * a.out + k] : 0;
			}
			__syncthreads();
			sums.add(&xs[0][0], &ws[0][0]);
			__syncthreads();
		}
	}
	#pragma unroll
	for (int e = 0; e < S::count; e++) {
		int p = p0 + sums.row(e), k = k0 + sums.column(e);
		if (p < a.pixels && k < a.out) a.y[at(p, a.height, a.width, a.y_image, a.y_line, a.y_pixel, a.y_start) + k] = sums.value(e);
	}
}

KERNEL(convolve16, Convolve) { convolve<16, Sums<16, 4, 2, convolve_pitch, 16>>(args); }
KERNEL(convolve32, Convolve) { convolve<32, Sums<32, 4, 4, convolve_pitch, 32>>(args); }
KERNEL(convolve64, Convolve) { convolve<64, Sums<64, 8, 4, convolve_pitch, 64>>(args); }
KERNEL(convolve16_tf32, Convolve) { convolve<16, TensorSums<convolve_rows, 16, 16, convolve_pitch, 16>>(args); }
KERNEL(convolve32_tf32, Convolve) { convolve<32, TensorSums<convolve_rows, 16, 32, convolve_pitch, 32>>(args); }
KERNEL(convolve64_tf32, Convolve) { convolve<64, TensorSums<convolve_rows, 32, 32, convolve_pitch, 64>>(args); }

struct Weights {
	const float *x, *dy;
	float *partial;                             // (slices, taps*length, out)
	int pixels, height, width;
	int x_image, x_line, x_pixel, x_start;
	int x_tap, taps, length;
	int y_image, y_line, y_pixel, y_start, out;
	int per;                                    // pixels a slice
};

const int weights_rows = 64;

// weights makes 64 rows of BN columns of one slice's part of a weight gradient:
//
//	partial[slice][tap*length+i][k] = sum over its pixels p of x[p*x_pixel + tap*x_tap + i] * dy[p][k]
template <int BN, class S>
__device__ void weights(const Weights *args) {
	__shared__ __align__(16) float xs[BK][weights_rows], ds[BK][BN];
	__shared__ int x_at[BK], y_at[BK];
	const Weights a = *args;
	int t = threadIdx.x, m0 = blockIdx.x * weights_rows, k0 = blockIdx.y * BN, slice = blockIdx.z, rows = a.taps * a.length;
	int begin = slice * a.per, end = min(begin + a.per, a.pixels);
	int row = m0 + t % weights_rows, offset = row / a.length * a.x_tap + row % a.length;
	S sums;
	for (int from = begin; from < end; from += BK) {
		if (t < BK) {
			int p = from + t;
			x_at[t] = p < end ? at(p, a.height, a.width, a.x_image, a.x_line, a.x_pixel, a.x_start) : -1;
			y_at[t] = p < end ? at(p, a.height, a.width, a.y_image, a.y_line, a.y_pixel, a.y_start) : -1;
		}
		__syncthreads();
		for (int i = t / weights_rows; i < BK; i += 256 / weights_rows) {
			xs[i][t % weights_rows] = x_at[i] >= 0 && row < rows ? a.x[x_at[i] + offset] : 0;
		}
		for (int e = t; e < BK * BN; e += 256) {
			int i = e / BN, k = k0 + e % BN;
			ds[i][e % BN] = y_at[i] >= 0 && k < a.out ? a.dy[y_at[i] + k] : 0;
		}
		__syncthreads();
		sums.add(&xs[0][0], &ds[0][0]);
	}
	#pragma unroll
	for (int e = 0; e < S::count; e++) {
		int m = m0 + sums.row(e), k = k0 + sums.column(e);
		if (m < rows && k < a.out) a.partial[(slice * rows + m) * a.out + k] = sums.value(e);
	}
}

KERNEL(weights16, Weights) { weights<16, Sums<16, 4, 1, weights_rows, 16>>(args); }
KERNEL(weights32, Weights) { weights<32, Sums<32, 4, 2, weights_rows, 32>>(args); }
KERNEL(weights64, Weights) { weights<64, Sums<64, 4, 4, weights_rows, 64>>(args); }
KERNEL(weights16_tf32, Weights) { weights<16, TensorSums<weights_rows, 16, 8, weights_rows, 16>>(args); }
KERNEL(weights32_tf32, Weights) { weights<32, TensorSums<weights_rows, 16, 16, weights_rows, 32>>(args); }
KERNEL(weights64_tf32, Weights) { weights<64, TensorSums<weights_rows, 16, 32, weights_rows, 64>>(args); }

struct Reduce {
	const float *src; // (slices, count)
	float *dst;       // (count)
	int count, slices;
};

KERNEL(reduce, Reduce) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= args->count) return;
	float sum = 0;
	for (int s = 0; s < args->slices; s++) sum += args->src[s * args->count + i];
	args->dst[i] = sum;
}

struct Turn {
	const float *w;  // (kernel*kernel, in, out)
	float *turned;   // (count, out, in)
	const int *taps; // (count), which of the kernel's
	int count, in, out;
};

KERNEL(turn, Turn) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= args->count * args->in * args->out) return;
	int c = i % args->in, o = i / args->in % args->out, t = i / args->in / args->out;
	args->turned[i] = args->w[(args->taps[t] * args->in + c) * args->out + o];
}
