// What NVRTC declares by itself, for clang.
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
#include <__clang_cuda_builtin_vars.h>
extern "C" {
__device__ float expf(float), logf(float), powf(float, float), __int_as_float(int);
}
__device__ float fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__device__ float fmaxf(float a, float b) { return a > b ? a : b; }
__device__ float sqrtf(float v) { return __nvvm_sqrt_rn_f(v); }
__device__ double sqrt(double v) { return __nvvm_sqrt_rn_d(v); }
__device__ int min(int a, int b) { return a < b ? a : b; }
