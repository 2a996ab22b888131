/* Prints the labels of a sentence: tag MODEL ID... The model is a file of int64 numbers: words, H, K, and
 * of float32 numbers: the products of the words [words, 3 * H] of a QRNN layer with fo pooling, the weights
 * [K, H] and bias [K] of a linear layer, and transitions [K, K], start [K] and end [K] of a CRF. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mtl_runtime.h"

static void check(int code) {
  if (code == MTL_OK) return;
  fprintf(stderr, "tag: %s\n", mtl_error(code));
  exit(1);
}

static void* allocate(int64_t count, size_t size) {
  void* memory = calloc((size_t)count + 1, size);
  if (!memory) check(MTL_NO_MEMORY);
  return memory;
}

static float* load(FILE* file, int64_t count) {
  float* numbers = allocate(count, sizeof(float));
  if (fread(numbers, sizeof(float), (size_t)count, file) != (size_t)count) check(MTL_BAD_SIZE);
  return numbers;
}

int main(int argc, char** argv) {
  FILE* file = argc > 1 ? fopen(argv[1], "rb") : NULL;
  int64_t sizes[3], steps = argc - 2;
  if (!file || fread(sizes, sizeof(int64_t), 3, file) != 3) {
    fprintf(stderr, "usage: tag MODEL ID...\n");
    return 2;
  }
  const int64_t words = sizes[0], width = sizes[1], labels = sizes[2];
  const float *table = load(file, words * 3 * width), *weights = load(file, labels * width);
  const float *bias = load(file, labels), *transitions = load(file, labels * labels);
  const float *start = load(file, labels), *end = load(file, labels);
  fclose(file);

  int64_t *ids = allocate(steps, sizeof(int64_t)), *path = allocate(steps, sizeof(int64_t));
  for (int64_t t = 0; t < steps; ++t) ids[t] = strtoll(argv[t + 2], NULL, 10);
  float* h = allocate(steps * width, sizeof(float));
  float* packed = allocate(mtl_linear_packed_size(labels, width), sizeof(float));
  float* emissions = allocate(steps * labels, sizeof(float));
  check(mtl_linear_pack(weights, labels, width, packed));
  check(mtl_pool_rows(table, words, 3 * width, ids, 1, steps, NULL, NULL, width, 1, 3, 0, 1, h));
  check(mtl_linear(h, steps, packed, bias, labels, width, emissions));
  check(mtl_crf_viterbi(emissions, transitions, start, end, NULL, 1, steps, labels, path));
  for (int64_t t = 0; t < steps; ++t) printf("%" PRId64 "\n", path[t]);
  return 0;
}
