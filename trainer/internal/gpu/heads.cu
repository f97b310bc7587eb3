// Heads, losses, the solver and the making of batches. See kernels.cu, which this file is
// put behind.

struct Linear {
	const float *z, *w, *b, *dy; // (rows, features), (outputs, features), (outputs), (rows/step, outputs)
	float *to, *bias;
	int rows, features, outputs, step;
};

KERNEL(linear, Linear) {
	const Linear a = *args;
	if (thread() >= a.rows / a.step * a.outputs) return;
	int n = thread() / a.outputs, k = thread() % a.outputs;
	float sum = a.b[k];
	for (int i = 0; i < a.features; i++) sum = fmaf(a.w[k * a.features + i], a.z[n * a.step * a.features + i], sum);
	a.to[thread()] = sum;
}

KERNEL(linear_dz, Linear) {
	const Linear a = *args;
	if (thread() >= a.rows * a.features) return;
	int n = thread() / a.features, i = thread() % a.features;
	float sum = 0;
	if (n % a.step == 0) {
		for (int k = 0; k < a.outputs; k++) sum = fmaf(a.dy[n / a.step * a.outputs + k], a.w[k * a.features + i], sum);
	}
	a.to[thread()] = sum;
}

KERNEL(linear_dw, Linear) {
	const Linear a = *args;
	if (thread() >= a.outputs * a.features) return;
	int k = thread() / a.features, i = thread() % a.features;
	float sum = 0, bias = 0;
	for (int n = 0; n < a.rows / a.step; n++) {
		float g = a.dy[n * a.outputs + k];
		sum = fmaf(g, a.z[n * a.step * a.features + i], sum);
		bias += g;
	}
	a.to[thread()] = sum;
	if (i == 0) a.bias[k] = bias;
}

struct Normalise {
	const float *x, *y, *dy;
	float *to;
	int rows, width;
	float length;
};

__device__ float length_of(const float *row, int width) {
	float square = 0;
	for (int i = 0; i < width; i++) square = fmaf(row[i], row[i], square);
	return fmaxf(1e-12f, sqrtf(square));
}

KERNEL(normalise, Normalise) {
	const Normalise a = *args;
	int r = thread();
	if (r >= a.rows) return;
	float factor = a.length / length_of(a.x + r * a.width, a.width);
	for (int i = 0; i < a.width; i++) a.to[r * a.width + i] = a.x[r * a.width + i] * factor;
}

KERNEL(normalise_grad, Normalise) {
	const Normalise a = *args;
	int r = thread();
	if (r >= a.rows) return;
	const float *y = a.y + r * a.width, *dy = a.dy + r * a.width;
	float factor = a.length / length_of(a.x + r * a.width, a.width), along = 0;
	for (int i = 0; i < a.width; i++) along = fmaf(y[i], dy[i], along);
	along /= a.length * a.length;
	for (int i = 0; i < a.width; i++) a.to[r * a.width + i] = factor * (dy[i] - along * y[i]);
}

// A Balance is a loss for a long tail: see balance of package trainer.
struct Balance {
	const float *weights, *margins; // per class, or null
	float gamma, scale;             // scale: of an image of weight 1
};

__device__ float weight(const Balance &b, const float *target, int classes) {
	if (!b.weights) return 1;
	float w = 0;
	for (int y = 0; y < classes; y++) w += target[y] * b.weights[y];
	return w;
}

// focal is the factor (1-p)^gamma of a label's loss, and sets the derivative of the loss,
// -(1-p)^gamma log p, with respect to log p.
__device__ float focal(float gamma, float log_p, float *slope) {
	float p = expf(log_p), far = 1;
	*slope = -1;
	if (gamma != 0) {
		far = powf(1 - p, gamma);
		*slope = p < 1 ? gamma * far / (1 - p) * p * log_p - far : 0;
	}
	return far;
}

const int class_labels = 0, view_labels = 1, joint_labels = 2;

struct CrossEntropy {
	const float *logits, *targets; // (rows, outputs), (images, classes)
	float *grad, *loss;            // (rows, outputs), (rows)
	Balance balance;
	int rows, outputs, classes, views, kind;
};

__device__ float label(const CrossEntropy &a, const float *target, int r, int k, int *y) {
	int j = r % a.views;
	*y = k;
	if (a.kind == view_labels) return k == j;
	if (a.kind == class_labels) return target[k];
	*y = k / a.views;
	return k % a.views == j ? target[*y] : 0;
}

// cross_entropy does a row a thread. Its gradients hold the shifted logits on the way.
KERNEL(cross_entropy, CrossEntropy) {
	const CrossEntropy a = *args;
	int r = thread(), y;
	if (r >= a.rows) return;
	const float *target = a.targets + r / a.views * a.classes, *logits = a.logits + r * a.outputs;
	float *grad = a.grad + r * a.outputs, top = -INFINITY, sum = 0, loss = 0, slopes = 0;
	float scale = a.balance.scale * weight(a.balance, target, a.classes);
	for (int k = 0; k < a.outputs; k++) {
		float t = label(a, target, r, k, &y);
		grad[k] = logits[k] - (a.balance.margins ? t * a.balance.margins[y] : 0);
		top = fmaxf(top, grad[k]);
	}
	for (int k = 0; k < a.outputs; k++) sum += expf(grad[k] - top);
	float log_sum = top + logf(sum);
	for (int k = 0; k < a.outputs; k++) {
		float t = label(a, target, r, k, &y), log_p = grad[k] - log_sum, slope;
		loss -= t * focal(a.balance.gamma, log_p, &slope) * log_p;
		slopes += t * slope;
	}
	for (int k = 0; k < a.outputs; k++) {
		float t = label(a, target, r, k, &y), log_p = grad[k] - log_sum, slope;
		focal(a.balance.gamma, log_p, &slope);
		grad[k] = (t * slope - expf(log_p) * slopes) * scale;
	}
	a.loss[r] = loss * scale;
}

struct Distil {
	const float *logits, *student, *targets; // (images*views, classes*views), (images, classes), (images, classes)
	float *grad, *loss, *teacher;            // (images, classes), (images), (images, classes)
	Balance balance;                         // of the cross-entropy, its weight beta in the scale
	int images, classes, views;
	float temperature;
};

__device__ float log_sum_exp(const float *v, int n, float temperature) {
	float top = -INFINITY, sum = 0;
	for (int k = 0; k < n; k++) top = fmaxf(top, v[k] / temperature);
	for (int k = 0; k < n; k++) sum += expf(v[k] / temperature - top);
	return top + logf(sum);
}

// distil does an image a thread: see distilOp of package trainer. Margins and focal
// factors are those of cross_entropy with class labels.
KERNEL(distil, Distil) {
	const Distil a = *args;
	int b = thread(), n = a.classes;
	if (b >= a.images) return;
	const float *u = a.student + b * n, *target = a.targets + b * n;
	float *s = a.teacher + b * n, *grad = a.grad + b * n, t = a.temperature;
	for (int i = 0; i < n; i++) {
		s[i] = 0;
		for (int j = 0; j < a.views; j++) s[i] += a.logits[(b * a.views + j) * n * a.views + i * a.views + j];
		s[i] /= a.views;
	}
	float scale = a.balance.scale * weight(a.balance, target, n), loss = 0, hard = 0, slopes = 0;
	for (int i = 0; i < n; i++) grad[i] = u[i] - (a.balance.margins ? target[i] * a.balance.margins[i] : 0);
	float teacher_sum = log_sum_exp(s, n, t), student_sum = log_sum_exp(u, n, t), hard_sum = log_sum_exp(grad, n, 1);
	for (int i = 0; i < n; i++) {
		float slope;
		hard -= target[i] * focal(a.balance.gamma, grad[i] - hard_sum, &slope) * (grad[i] - hard_sum);
		slopes += target[i] * slope;
	}
	for (int i = 0; i < n; i++) {
		float log_p = grad[i] - hard_sum, slope;
		focal(a.balance.gamma, log_p, &slope);
		float log_q = s[i] / t - teacher_sum, log_r = u[i] / t - student_sum;
		loss += t * t * expf(log_q) * (log_q - log_r) / a.images;
		grad[i] = t * (expf(log_r) - expf(log_q)) / a.images + scale * (target[i] * slope - expf(log_p) * slopes);
	}
	a.loss[b] = loss + scale * hard;
}

struct Total {
	const float *src;
	float *dst;
	int count, square;
};

// total adds up in one block of 256 threads, squares if it is told to.
KERNEL(total, Total) {
	__shared__ float sums[256];
	float sum = 0;
	for (int i = threadIdx.x; i < args->count; i += 256) {
		float v = args->src[i];
		sum += args->square ? v * v : v;
	}
	sums[threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.x == 0) {
		for (int i = 1; i < 256; i++) sum += sums[i];
		*args->dst = sum;
	}
}

struct Step {
	float rate, momentum, scale; // scale: of the gradients, where they are clipped
	int nesterov;
};

struct SGD {
	float *w, *v;
	const float *g;
	const Step *step; // of all params
	int count;
	float decay;
};

KERNEL(sgd, SGD) {
	const SGD a = *args;
	const Step s = *a.step;
	int i = thread();
	if (i >= a.count) return;
	float g = s.scale * a.g[i] + a.decay * a.w[i], v = s.momentum * a.v[i] + g;
	a.v[i] = v;
	a.w[i] -= s.rate * (s.nesterov ? s.momentum * v + g : v);
}

struct Views {
	const unsigned char *pixels; // (images, height, width, channels), augmented
	const float *levels;         // (channels, 256), normalised
	const int *transforms;       // (views, 4): quarter turns, and which channels
	const int *partner;          // (images), with whom an image is mixed, or null
	float *to;                   // (images*views, height+2*border, width+2*border, channels)
	int images, views, height, width, channels, border;
	int mixup;                   // mixed by sums, not by rectangles
	float share;
	int top, left, bottom, right;
};

// views makes a pixel of a view a thread: see batcher.view of package trainer.
KERNEL(views, Views) {
	const Views a = *args;
	int i = thread(), h = a.height, w = a.width;
	if (i >= a.images * a.views * h * w) return;
	int x = i % w, y = i / w % h, row = i / w / h, b = row / a.views;
	const int *t = a.transforms + row % a.views * 4;
	int sy = y, sx = x; // rot90 counter-clockwise, as sla.Source
	if (t[0] == 1) { sy = x; sx = w - 1 - y; }
	if (t[0] == 2) { sy = h - 1 - y; sx = w - 1 - x; }
	if (t[0] == 3) { sy = h - 1 - x; sx = y; }
	const unsigned char *image = a.pixels + ((b * h + sy) * w + sx) * a.channels, *other = image;
	if (a.partner) other = a.pixels + ((a.partner[b] * h + sy) * w + sx) * a.channels;
	bool cut = a.partner && !a.mixup && sy >= a.top && sy < a.bottom && sx >= a.left && sx < a.right;
	float *to = a.to + ((row * (h + 2 * a.border) + y + a.border) * (w + 2 * a.border) + x + a.border) * a.channels;
	for (int c = 0; c < a.channels; c++) {
		int from = t[1 + c];
		float v = a.levels[from * 256 + (cut ? other : image)[from]];
		if (a.partner && a.mixup) v = a.share * v + (1 - a.share) * a.levels[from * 256 + other[from]];
		to[c] = v;
	}
}
