// What NVRTC declares by itself, for clang.
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#include <__clang_cuda_builtin_vars.h>
extern "C" {
__device__ float fmaf(float, float, float), fmaxf(float, float), sqrtf(float), expf(float), logf(float), powf(float, float), __int_as_float(int);
__device__ double sqrt(double);
}
__device__ int min(int a, int b) { return a < b ? a : b; }
