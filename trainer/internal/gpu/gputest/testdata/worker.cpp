// A worker, as package gpu describes it, that runs the kernels on the processor: one
// block after the other, its threads in turns wherever they wait for each other; those of
// every other block backwards, so that a wait that is missing shows.
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <map>
#include <string>
#include <vector>

struct Index {
	int x, y, z;
};
static Index blockIdx, blockDim, threadIdx;

static int min(int a, int b) { return a < b ? a : b; }

// Threads. The scheduler jumps into a thread, and the thread back when it waits or ends.
static const int most = 1024, stack_size = 64 << 10;
static jmp_buf scheduler, threads[most];
static bool waits[most];

static void wait() {
	int i = threadIdx.x;
	waits[i] = true;
	if (!_setjmp(threads[i])) _longjmp(scheduler, 1);
}

#define __global__
#define __device__
#define __forceinline__ inline
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static
#define __syncthreads wait

typedef void (*Kernel)(const void *);
static std::map<std::string, Kernel> kernels;
struct Registered {
	Registered(const char *name, Kernel k) { kernels[name] = k; }
};
#define KERNEL(name, Args)                                      \
	static void name(const Args *args);                         \
	static Registered registered_##name(#name, (Kernel)(name)); \
	static void name(const Args *args)

// What the tensor cores do: see mma in the kernels. All threads of a block call it together.
#define MMA
static float tf32(float v) {
	uint32_t bits;
	memcpy(&bits, &v, 4);
	bits = (bits + 0x1000) & ~0x1fffu; // to 10 bits, halves away from zero
	memcpy(&v, &bits, 4);
	return v;
}

static void mma(float *c, const float *a, const float *b) {
	static float as[most][4], bs[most][2];
	int t = threadIdx.x, warp = t / 32 * 32, g = t % 32 / 4, k = t % 4;
	for (int i = 0; i < 4; i++) as[t][i] = tf32(a[i]);
	for (int i = 0; i < 2; i++) bs[t][i] = tf32(b[i]);
	wait();
	for (int q = 0; q < 4; q++) {
		int row = g + q / 2 * 8, column = 2 * k + q % 2;
		for (int s = 0; s < 8; s++) {
			float x = as[warp + row % 8 * 4 + s % 4][row / 8 + s / 4 * 2], y = bs[warp + column * 4 + s % 4][s / 4];
			c[q] += x * y;
		}
	}
	wait();
}

#include "kernels.h"

static Kernel running;
static const void *argument;

// A thread runs one kernel after the other.
static void begin() {
	for (int i = threadIdx.x;;) {
		running(argument);
		waits[i] = false;
		if (!_setjmp(threads[i])) _longjmp(scheduler, 1);
	}
}

// go_on runs thread i until it waits or ends.
static void go_on(int i) {
	static char *stacks = (char *)malloc((size_t)most * stack_size);
	static bool begun[most];
	static ucontext_t here, there;
	threadIdx.x = i;
	if (_setjmp(scheduler)) return;
	if (begun[i]) _longjmp(threads[i], 1);
	begun[i] = true;
	getcontext(&there);
	there.uc_stack.ss_sp = stacks + (size_t)i * stack_size;
	there.uc_stack.ss_size = stack_size;
	there.uc_link = 0;
	makecontext(&there, begin, 0);
	swapcontext(&here, &there);
}

// run_block runs the threads in order, or backwards: what a kernel computes must not
// depend on it.
static void run_block(bool backwards) {
	int n = blockDim.x, first = backwards ? n - 1 : 0, step = backwards ? -1 : 1;
	go_on(first);
	bool any = waits[first]; // if none does, the others need no stacks of their own
	for (int i = first + step; i >= 0 && i < n; i += step) {
		threadIdx.x = i;
		if (any) {
			go_on(i);
		} else {
			running(argument);
		}
	}
	while (any) {
		any = false;
		for (int i = first; i >= 0 && i < n; i += step) {
			if (waits[i]) go_on(i);
			any |= waits[i];
		}
	}
}

static void take(void *to, size_t n) {
	if (n > 0 && fread(to, 1, n, stdin) != n) exit(0);
}

template <class T> static T number() {
	T v;
	take(&v, sizeof v);
	return v;
}

static std::string text() {
	std::string s(number<uint32_t>(), 0);
	take(&s[0], s.size());
	return s;
}

static std::string failure;

static void reply(const void *data, uint32_t n) {
	uint32_t head[2] = {failure.empty() ? 0u : 1u, failure.empty() ? n : (uint32_t)failure.size()};
	fwrite(head, 4, 2, stdout);
	fwrite(failure.empty() ? data : failure.data(), 1, head[1], stdout);
	fflush(stdout);
}

int main() {
	std::vector<Kernel> table;
	for (;;) {
		switch (number<uint32_t>()) {
		case 0:
			text();
			for (uint32_t n = number<uint32_t>(); n > 0; n--) {
				std::string name = text();
				if (!kernels.count(name)) failure = "no kernel " + name;
				table.push_back(kernels[name]);
			}
			reply("the processor", 13);
			break;
		case 1: {
			uint64_t size = number<uint64_t>();
			void *p = calloc(size + 1, 1);
			if (!p) failure = "out of memory";
			uint64_t address = (uint64_t)p;
			reply(&address, 8);
			break;
		}
		case 2: {
			uint64_t to = number<uint64_t>(), size = number<uint64_t>();
			take((void *)to, size);
			break;
		}
		case 3: {
			uint64_t from = number<uint64_t>(), size = number<uint64_t>();
			reply((void *)from, size);
			break;
		}
		case 4:
			for (uint32_t n = number<uint32_t>(); n > 0; n--) {
				running = table.at(number<uint32_t>());
				Index grid;
				take(&grid, sizeof grid);
				blockDim.x = number<uint32_t>();
				argument = (const void *)number<uint64_t>();
				for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
					for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
						for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) run_block(blockIdx.x % 2);
			}
			break;
		default:
			return 1;
		}
	}
}
