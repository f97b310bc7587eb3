/* What gorgonia.org/cu v0.9.6 calls as CUDA 12 declares it, for CUDA 13, where five
 * functions have other parameters. Put before the real header by -I. */
#include_next <cuda.h>

#if CUDA_VERSION >= 13000 && !defined(QUARTERTURN_CUDA13)
#define QUARTERTURN_CUDA13
#undef cuCtxCreate
#undef cuMemAdvise
#undef cuMemPrefetchAsync
#undef cuGraphAddDependencies
#undef cuGraphGetEdges

static inline CUresult cuCtxCreate(CUcontext *c, unsigned int flags, CUdevice d) {
	return cuCtxCreate_v4(c, 0, flags, d);
}

static inline CUmemLocation quarterturn_location(CUdevice d) {
	CUmemLocation l = {CU_MEM_LOCATION_TYPE_DEVICE};
	l.id = d;
	if (d == CU_DEVICE_CPU) l.type = CU_MEM_LOCATION_TYPE_HOST;
	return l;
}

static inline CUresult cuMemAdvise(CUdeviceptr p, size_t n, CUmem_advise advice, CUdevice d) {
	return cuMemAdvise_v2(p, n, advice, quarterturn_location(d));
}

static inline CUresult cuMemPrefetchAsync(CUdeviceptr p, size_t n, CUdevice d, CUstream s) {
	return cuMemPrefetchAsync_v2(p, n, quarterturn_location(d), 0, s);
}

static inline CUresult cuGraphAddDependencies(CUgraph g, const CUgraphNode *from, const CUgraphNode *to, size_t n) {
	return cuGraphAddDependencies_v2(g, from, to, 0, n);
}

static inline CUresult cuGraphGetEdges(CUgraph g, CUgraphNode *from, CUgraphNode *to, size_t *n) {
	return cuGraphGetEdges_v2(g, from, to, 0, n);
}
#endif
