// Convolutions of padded NHWC images, as of package nhwc, by tiles in shared memory. See
// kernels.cu, which this file is put behind.

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

// convolve makes BM pixels of BN outputs; each of its 256 threads TM of TN:
//
//	y[p][k] = sum over tap < taps, i < length of x[p*x_pixel + tap*x_tap + i] * w[tap*length+i][k]
template <int BM, int BN, int TM, int TN>
__device__ void convolve(const Convolve *args) {
	const int BK = 16;
	__shared__ float xs[BK][BM + 4], ws[BK][BN];
	const Convolve a = *args;
	int t = threadIdx.x, r = t % BK, p0 = blockIdx.x * BM, k0 = blockIdx.y * BN;
	int base[BM / 16];
	for (int i = 0; i < BM / 16; i++) {
		int p = p0 + t / BK + 16 * i;
		base[i] = p < a.pixels ? at(p, a.height, a.width, a.x_image, a.x_line, a.x_pixel, a.x_start) : -1;
	}
	int n = t % (BN / TN) * TN, m = t / (BN / TN) * TM;
	float sum[TM][TN] = {};
	for (int tap = 0; tap < a.taps; tap++) {
		for (int from = 0; from < a.length; from += BK) {
			for (int i = 0; i < BM / 16; i++) {
				bool inside = base[i] >= 0 && from + r < a.length;
				xs[r][t / BK + 16 * i] = inside ? a.x[base[i] + tap * a.x_tap + from + r] : 0;
			}
			for (int e = t; e < BK * BN; e += 256) {
				int row = from + e / BN, k = k0 + e % BN;
				ws[e / BN][e % BN] = row < a.length && k < a.out ? a.w[(tap * a.length + row) * a.out + k] : 0;
			}
			__syncthreads();
			for (int s = 0; s < BK; s++) {
				for (int i = 0; i < TM; i++) {
					for (int j = 0; j < TN; j++) {
						sum[i][j] = fmaf(xs[s][m + i], ws[s][n + j], sum[i][j]);
					}
				}
			}
			__syncthreads();
		}
	}
	for (int i = 0; i < TM; i++) {
		int p = p0 + m + i;
		if (p >= a.pixels) continue;
		float *y = a.y + at(p, a.height, a.width, a.y_image, a.y_line, a.y_pixel, a.y_start);
		for (int j = 0; j < TN; j++) {
			if (k0 + n + j < a.out) y[k0 + n + j] = sum[i][j];
		}
	}
}

KERNEL(convolve16, Convolve) { convolve<128, 16, 4, 2>(args); }
KERNEL(convolve32, Convolve) { convolve<128, 32, 4, 4>(args); }
KERNEL(convolve64, Convolve) { convolve<128, 64, 8, 4>(args); }

struct Weights {
	const float *x, *dy;
	float *partial;                             // (slices, taps*length, out)
	int pixels, height, width;
	int x_image, x_line, x_pixel, x_start;
	int x_tap, taps, length;
	int y_image, y_line, y_pixel, y_start, out;
	int per;                                    // pixels a slice
};

// weights makes 64 rows of BN columns of one slice's part of a weight gradient:
//
//	partial[slice][tap*length+i][k] = sum over its pixels p of x[p*x_pixel + tap*x_tap + i] * dy[p][k]
template <int BN, int TN>
__device__ void weights(const Weights *args) {
	const int BM = 64, BK = 16, TM = 4;
	__shared__ float xs[BK][BM], ds[BK][BN];
	__shared__ int x_at[BK], y_at[BK];
	const Weights a = *args;
	int t = threadIdx.x, m0 = blockIdx.x * BM, k0 = blockIdx.y * BN, slice = blockIdx.z, rows = a.taps * a.length;
	int begin = slice * a.per, end = min(begin + a.per, a.pixels);
	int row = m0 + t % BM, offset = row / a.length * a.x_tap + row % a.length;
	int n = t % (BN / TN) * TN, m = t / (BN / TN) * TM;
	float sum[TM][TN] = {};
	for (int from = begin; from < end; from += BK) {
		if (t < BK) {
			int p = from + t;
			x_at[t] = p < end ? at(p, a.height, a.width, a.x_image, a.x_line, a.x_pixel, a.x_start) : -1;
			y_at[t] = p < end ? at(p, a.height, a.width, a.y_image, a.y_line, a.y_pixel, a.y_start) : -1;
		}
		__syncthreads();
		for (int i = t / BM; i < BK; i += 4) {
			xs[i][t % BM] = x_at[i] >= 0 && row < rows ? a.x[x_at[i] + offset] : 0;
		}
		for (int e = t; e < BK * BN; e += 256) {
			int i = e / BN, k = k0 + e % BN;
			ds[i][e % BN] = y_at[i] >= 0 && k < a.out ? a.dy[y_at[i] + k] : 0;
		}
		__syncthreads();
		for (int s = 0; s < BK; s++) {
			for (int i = 0; i < TM; i++) {
				for (int j = 0; j < TN; j++) {
					sum[i][j] = fmaf(xs[s][m + i], ds[s][n + j], sum[i][j]);
				}
			}
		}
	}
	for (int i = 0; i < TM; i++) {
		for (int j = 0; j < TN; j++) {
			if (m0 + m + i < rows && k0 + n + j < a.out) {
				a.partial[(slice * rows + m0 + m + i) * a.out + k0 + n + j] = sum[i][j];
			}
		}
	}
}

KERNEL(weights16, Weights) { weights<16, 1>(args); }
KERNEL(weights32, Weights) { weights<32, 2>(args); }
KERNEL(weights64, Weights) { weights<64, 4>(args); }

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
