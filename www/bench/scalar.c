// How fast scalar code can be here: the inner loop of the module's convolutions,
// four channels of two outputs, over data that stays in the first cache. Prints
// GFLOP/s, the median of 21 runs. run.js compiles it without vectors and fused
// multiply-adds.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUN = 64, OUTPUTS = 16, TURNS = 2000, ROUNDS = 21 };

static float x[OUTPUTS][RUN], w[RUN][4], y[OUTPUTS][4];

static void sums(void) {
  for (int p = 0; p < OUTPUTS; p += 2) {
    float s[4] = {0}, t[4] = {0};
    for (int i = 0; i < RUN; i++) {
      float u = x[p][i], v = x[p + 1][i];
      for (int o = 0; o < 4; o++) {
        s[o] += w[i][o] * u;
        t[o] += w[i][o] * v;
      }
    }
    for (int o = 0; o < 4; o++) y[p][o] = s[o], y[p + 1][o] = t[o];
  }
}

static int compare(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return (d > 0) - (d < 0);
}

int main(void) {
  for (int i = 0; i < RUN; i++) {
    for (int p = 0; p < OUTPUTS; p++) x[p][i] = 1.f / (1 + i + p);
    for (int o = 0; o < 4; o++) w[i][o] = 1.f / (2 + i + o);
  }
  double speeds[ROUNDS], sink = 0;
  for (int round = 0; round < ROUNDS; round++) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int turn = 0; turn < TURNS; turn++) {
      sums();
      x[turn % OUTPUTS][turn % RUN] += 1e-9f; // or the compiler makes one turn of all
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    sink += y[3][1];
    double ns = 1e9 * (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec);
    speeds[round] = 2.0 * RUN * OUTPUTS * 4 * TURNS / ns;
  }
  qsort(speeds, ROUNDS, sizeof *speeds, compare);
  printf("%.1f\n", sink > 0 ? speeds[ROUNDS / 2] : 0);
}
