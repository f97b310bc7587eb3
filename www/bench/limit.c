// How fast C can be here: the inner loop of the module's convolutions over data that
// stays in the first cache, four channels of two outputs in scalar code, and sixteen of
// two in vectors of 128 bits. Prints GFLOP/s, medians of 21 runs. run.js compiles it
// without other vectors and fused multiply-adds.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { K = 64, OUTPUTS = 16, LANES = 4, TURNS = 2000, ROUNDS = 21 };

typedef float vector __attribute__((vector_size(4 * LANES)));

static float x[OUTPUTS][K], w[K][4], y[OUTPUTS][4];
static vector vw[K][4], vy[OUTPUTS][4];

static void scalar(void) {
  for (int p = 0; p < OUTPUTS; p += 2) {
    float s[4] = {0}, t[4] = {0};
    for (int i = 0; i < K; i++) {
      float u = x[p][i], v = x[p + 1][i];
      for (int o = 0; o < 4; o++) {
        s[o] += w[i][o] * u;
        t[o] += w[i][o] * v;
      }
    }
    for (int o = 0; o < 4; o++) y[p][o] = s[o], y[p + 1][o] = t[o];
  }
}

static void vectors(void) {
  for (int p = 0; p < OUTPUTS; p += 2) {
    vector s[4] = {0}, t[4] = {0};
    for (int i = 0; i < K; i++) {
      float u = x[p][i], v = x[p + 1][i];
      for (int o = 0; o < 4; o++) {
        s[o] += vw[i][o] * u;
        t[o] += vw[i][o] * v;
      }
    }
    for (int o = 0; o < 4; o++) vy[p][o] = s[o], vy[p + 1][o] = t[o];
  }
}

static int compare(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return (d > 0) - (d < 0);
}

static double measure(void (*f)(void), double flops) {
  double speeds[ROUNDS];
  for (int round = 0; round < ROUNDS; round++) {
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int turn = 0; turn < TURNS; turn++) {
      f();
      x[turn % OUTPUTS][turn % K] += 1e-9f; // or the compiler makes one turn of all
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    speeds[round] = flops * TURNS / (1e9 * (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec));
  }
  qsort(speeds, ROUNDS, sizeof *speeds, compare);
  return speeds[ROUNDS / 2];
}

int main(void) {
  for (int i = 0; i < K; i++) {
    for (int p = 0; p < OUTPUTS; p++) x[p][i] = 1.f / (1 + i + p);
    for (int o = 0; o < 4; o++) {
      w[i][o] = 1.f / (2 + i + o);
      for (int l = 0; l < LANES; l++) vw[i][o][l] = 1.f / (2 + i + o + l);
    }
  }
  double a = measure(scalar, 2.0 * K * OUTPUTS * 4), b = measure(vectors, 2.0 * K * OUTPUTS * 4 * LANES);
  if (y[3][1] + vy[3][1][1] > 0) printf("scalar %.1f, 128-bit vectors %.1f\n", a, b);
}
