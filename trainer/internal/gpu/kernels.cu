// The kernels of training but for convolutions. Every kernel has one argument, a pointer
// to a struct in device memory whose Go twin has the same name and fields. Sums have a
// fixed order, so a seed gives the same numbers on the same device.
//
// The file is compiled when a run begins, by NVRTC, or for tests by a C++ compiler, which
// runs the threads of a block in turns.

#ifndef KERNEL
#define KERNEL(name, Args) extern "C" __global__ void name(const Args *args)
#endif
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

// A Map is a batch of images with a border of one pixel.
struct Map {
	int images, height, width, channels;
};

// inner gives the place of element i of the inner parts, and its channel.
__device__ int inner(const Map &m, int i, int *channel) {
	int c = i % m.channels, x = i / m.channels % m.width, y = i / m.channels / m.width % m.height;
	int n = i / m.channels / m.width / m.height;
	*channel = c;
	return ((n * (m.height + 2) + y + 1) * (m.width + 2) + x + 1) * m.channels + c;
}

__device__ int elements(const Map &m) { return m.images * m.height * m.width * m.channels; }

__device__ int thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

struct NormSums {
	const float *x, *dy, *y; // dy and y are null forward; y is null behind no ReLU
	float *m;                // dy where y is positive; written if y is not null
	float *partial;          // (blocks, 2, channels)
	Map map;
	int per;                 // pixels a block
};

// norm_sums gives for 32 channels the sums of a block's pixels: of x and x*x forward, of
// the gradient behind the ReLU and its product with x backward. Blocks have 256 threads.
KERNEL(norm_sums, NormSums) {
	__shared__ float first[8][32], second[8][32];
	const NormSums a = *args;
	int lane = threadIdx.x % 32, line = threadIdx.x / 32, c = blockIdx.y * 32 + lane;
	int pixels = a.map.images * a.map.height * a.map.width, from = blockIdx.x * a.per, to = min(from + a.per, pixels);
	float sum = 0, product = 0;
	if (c < a.map.channels) {
		for (int p = from + line; p < to; p += 8) {
			int channel, i = inner(a.map, p * a.map.channels + c, &channel);
			float x = a.x[i], g = x;
			if (a.dy) g = a.dy[i];
			if (a.y) {
				if (!(a.y[i] > 0)) g = 0;
				a.m[i] = g;
			}
			sum += g;
			product = fmaf(g, x, product);
		}
	}
	first[line][lane] = sum;
	second[line][lane] = product;
	__syncthreads();
	if (line == 0 && c < a.map.channels) {
		for (int l = 1; l < 8; l++) {
			sum += first[l][lane];
			product += second[l][lane];
		}
		a.partial[(blockIdx.x * 2) * a.map.channels + c] = sum;
		a.partial[(blockIdx.x * 2 + 1) * a.map.channels + c] = product;
	}
}

struct NormReady {
	const float *partial, *gamma, *beta;
	float *mean, *std, *scale, *shift, *running_mean, *running_var;
	int blocks, channels;
	float count, epsilon, momentum;
};

KERNEL(norm_ready, NormReady) {
	const NormReady a = *args;
	int c = thread();
	if (c >= a.channels) return;
	double sum = 0, square = 0;
	for (int b = 0; b < a.blocks; b++) {
		sum += a.partial[b * 2 * a.channels + c];
		square += a.partial[(b * 2 + 1) * a.channels + c];
	}
	double mean = sum / a.count, var = square / a.count - mean * mean;
	if (var < 0) var = 0;
	float std = (float)(1 / sqrt(var + a.epsilon));
	a.mean[c] = (float)mean;
	a.std[c] = std;
	a.scale[c] = a.gamma[c] * std;
	a.shift[c] = a.beta[c] - (float)mean * a.gamma[c] * std;
	a.running_mean[c] += a.momentum * ((float)mean - a.running_mean[c]);
	a.running_var[c] += a.momentum * ((float)var * a.count / (a.count - 1) - a.running_var[c]);
}

struct NormApply {
	const float *x, *scale, *shift, *residual; // residual may be null
	float *y;
	Map map;
	int relu;
};

KERNEL(norm_apply, NormApply) {
	const NormApply a = *args;
	if (thread() >= elements(a.map)) return;
	int c, i = inner(a.map, thread(), &c);
	float y = fmaf(a.x[i], a.scale[c], a.shift[c]);
	if (a.residual) y += a.residual[i];
	if (a.relu && !(y > 0)) y = 0;
	a.y[i] = y;
}

struct NormReadyGrad {
	const float *partial, *gamma, *mean, *std;
	float *dgamma, *dbeta, *k1, *k2, *k3;
	int blocks, channels;
	float count;
};

// norm_ready_grad makes what norm_grad needs: see Norm.readyGrad of package nhwc.
KERNEL(norm_ready_grad, NormReadyGrad) {
	const NormReadyGrad a = *args;
	int c = thread();
	if (c >= a.channels) return;
	double sum = 0, product = 0;
	for (int b = 0; b < a.blocks; b++) {
		sum += a.partial[b * 2 * a.channels + c];
		product += a.partial[(b * 2 + 1) * a.channels + c];
	}
	double mean = a.mean[c], std = a.std[c], dot = (product - mean * sum) * std, scale = a.gamma[c] * std;
	a.dbeta[c] = (float)sum;
	a.dgamma[c] = (float)dot;
	a.k1[c] = (float)scale;
	a.k2[c] = (float)(scale * (mean * std * dot - sum) / a.count);
	a.k3[c] = (float)(-scale * std * dot / a.count);
}

struct NormGrad {
	const float *x, *m, *k1, *k2, *k3;
	float *d;
	Map map;
};

KERNEL(norm_grad, NormGrad) {
	const NormGrad a = *args;
	if (thread() >= elements(a.map)) return;
	int c, i = inner(a.map, thread(), &c);
	a.d[i] = fmaf(a.k1[c], a.m[i], fmaf(a.k3[c], a.x[i], a.k2[c]));
}

struct Pool {
	const float *x, *y, *dy;
	float *to;
	Map in, out;
	int size;
};

// window gives where the window of an element of the output begins: 2x2 windows do not
// reach into the border.
__device__ int window(const Pool &a, int n, int y, int x, int c) {
	int inner = 3 - a.size;
	return ((n * (a.in.height + 2) + 2 * y + inner) * (a.in.width + 2) + 2 * x + inner) * a.in.channels + c;
}

// inWindow gives where element k of a window is, from its first.
__device__ int inWindow(const Pool &a, int k) {
	return (k / a.size * (a.in.width + 2) + k % a.size) * a.in.channels;
}

KERNEL(pool, Pool) {
	const Pool a = *args;
	if (thread() >= elements(a.out)) return;
	int c, i = inner(a.out, thread(), &c), e = thread() / a.out.channels;
	int from = window(a, e / a.out.width / a.out.height, e / a.out.width % a.out.height, e % a.out.width, c);
	float top = a.x[from];
	for (int k = 1; k < a.size * a.size; k++) top = fmaxf(top, a.x[from + inWindow(a, k)]);
	a.to[i] = top;
}

// pool_grad gathers for an input pixel the gradients of the windows of whose largest
// values it is the first.
KERNEL(pool_grad, Pool) {
	const Pool a = *args;
	if (thread() >= elements(a.in)) return;
	int c, i = inner(a.in, thread(), &c), e = thread() / a.in.channels;
	int px = e % a.in.width, py = e / a.in.width % a.in.height, n = e / a.in.width / a.in.height;
	float d = 0;
	int reach = a.size - 2; // into the next window
	for (int y = py / 2; y <= (py + reach) / 2; y++) {
		for (int x = px / 2; x <= (px + reach) / 2; x++) {
			if (y >= a.out.height || x >= a.out.width) continue;
			int from = window(a, n, y, x, c), to = ((n * (a.out.height + 2) + y + 1) * (a.out.width + 2) + x + 1) * a.out.channels + c;
			for (int k = 0; k < a.size * a.size; k++) {
				int at = from + inWindow(a, k);
				if (a.x[at] == a.y[to]) {
					if (at == i) d += a.dy[to];
					break;
				}
			}
		}
	}
	a.to[i] = d;
}

struct Shortcut {
	const float *from;
	float *to;
	Map in, out;
	int stride;
};

KERNEL(shortcut, Shortcut) {
	const Shortcut a = *args;
	if (thread() >= elements(a.out)) return;
	int c, i = inner(a.out, thread(), &c), e = thread() / a.out.channels;
	int x = e % a.out.width * a.stride, y = e / a.out.width % a.out.height * a.stride, n = e / a.out.width / a.out.height;
	a.to[i] = c < a.in.channels ? a.from[((n * (a.in.height + 2) + y + 1) * (a.in.width + 2) + x + 1) * a.in.channels + c] : 0;
}

KERNEL(shortcut_grad, Shortcut) {
	const Shortcut a = *args;
	if (thread() >= elements(a.in)) return;
	int c, i = inner(a.in, thread(), &c), e = thread() / a.in.channels;
	int x = e % a.in.width, y = e / a.in.width % a.in.height, n = e / a.in.width / a.in.height;
	bool picked = x % a.stride == 0 && y % a.stride == 0;
	a.to[i] = picked ? a.from[((n * (a.out.height + 2) + y / a.stride + 1) * (a.out.width + 2) + x / a.stride + 1) * a.out.channels + c] : 0;
}

struct Mean {
	const float *from;
	float *to;
	Map map;
};

KERNEL(mean, Mean) {
	const Mean a = *args;
	if (thread() >= a.map.images * a.map.channels) return;
	int c, n = thread() / a.map.channels, channel = thread() % a.map.channels, pixels = a.map.height * a.map.width;
	float sum = 0;
	for (int p = 0; p < pixels; p++) sum += a.from[inner(a.map, (n * pixels + p) * a.map.channels + channel, &c)];
	a.to[thread()] = sum / pixels;
}

KERNEL(mean_grad, Mean) {
	const Mean a = *args;
	if (thread() >= elements(a.map)) return;
	int c, i = inner(a.map, thread(), &c), pixels = a.map.height * a.map.width;
	a.to[i] = a.from[thread() / a.map.channels / pixels * a.map.channels + c] / pixels;
}

struct Add {
	const float *a, *b;
	float *to;
	int count;
};

KERNEL(add, Add) {
	int i = thread();
	if (i < args->count) args->to[i] = args->a[i] + args->b[i];
}
