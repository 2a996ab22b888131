// The loops of a linear layer. Included once per instruction set, in the namespace MTL_ISA.

#include "pool_step.h"

#include "cpu/lanes.h"

namespace mtl::MTL_ISA {

using L = Lanes<float>;
using Vec = L::A;
constexpr int64_t kVec = L::kCount;

// Rows of x and panels that are multiplied at once: their sums fit into the registers.
constexpr int kRows = MTL_BYTES == 64 ? 6 : 3, kPanels = 4;
// The most inputs that are multiplied before the next rows are: their weights fit into the first cache.
constexpr int64_t kDepth = 128;

// From [outputs, inputs], as torch stores them, to [panels, inputs, lanes].
void pack_linear(const float* weights, int64_t outputs, int64_t inputs, float* packed) {
  for (int64_t first = 0; first < outputs; first += kVec)
    for (int64_t k = 0; k < inputs; ++k)
      for (int64_t lane = 0; lane < kVec; ++lane)
        *packed++ = first + lane < outputs ? weights[(first + lane) * inputs + k] : 0.0f;
}

// Adds the products of `depth` inputs of R rows with V panels to y. U sums per output run at once, since
// each step of a sum waits for the previous one. U depends on V alone, and so does the order of a sum:
// the number of rows does not change a result.
template <int R, int V>
static MTL_INLINE void tile(const Linear& p, int64_t row, int64_t panel, int64_t from, int64_t depth) {
  constexpr int U = V > 2 ? 1 : 4 / V;
  const int64_t distance = p.inputs * kVec, first = panel * kVec;
  const float* x = p.x + row * p.inputs + from;
  const float* weights = p.weights + panel * distance + from * kVec;
  float* y = p.y + row * p.outputs + first;
  Vec sum[U][R][V] = {};
  MTL_UNROLL
  for (int v = 0; v < V; ++v) {
    const int64_t there = p.outputs - first - v * kVec;
    const Vec bias = p.bias && !from ? L::read(p.bias + first + v * kVec, there) : Vec{};
    MTL_UNROLL
    for (int r = 0; r < R; ++r)
      sum[0][r][v] = from ? L::read(y + r * p.outputs + v * kVec, there) : bias;
  }
  const auto add = [&](int64_t k, int u) __attribute__((always_inline)) {
    Vec inputs[R];
    MTL_UNROLL
    for (int r = 0; r < R; ++r) inputs[r] = Vec{} + x[r * p.inputs + k];
    MTL_UNROLL
    for (int v = 0; v < V; ++v) {
      const Vec w = L::read(weights + v * distance + k * kVec);
      MTL_UNROLL
      for (int r = 0; r < R; ++r) sum[u][r][v] += inputs[r] * w;
    }
  };
  int64_t k = 0;
  for (; k + U <= depth; k += U)
    MTL_UNROLL
    for (int u = 0; u < U; ++u) add(k + u, u);
  for (; k < depth; ++k) add(k, 0);
  MTL_UNROLL
  for (int r = 0; r < R; ++r)
    MTL_UNROLL
    for (int v = 0; v < V; ++v) {
      MTL_UNROLL
      for (int u = 1; u < U; ++u) sum[0][r][v] += sum[u][r][v];
      L::write(y + r * p.outputs + v * kVec, sum[0][r][v], p.outputs - first - v * kVec);
    }
}

template <int V>
static void tiles(const Linear& p, int64_t panel) {
  // Parts of equal size: each part reads and writes the sums once more.
  const int64_t parts = std::max<int64_t>(1, (p.inputs + kDepth - 1) / kDepth);
  const int64_t most = (p.inputs + parts - 1) / parts;
  int64_t from = 0;
  do {
    const int64_t depth = std::min(most, p.inputs - from);
    int64_t row = 0;
    for (; row + kRows <= p.rows; row += kRows) tile<kRows, V>(p, row, panel, from, depth);
    for (; row + 2 <= p.rows; row += 2) tile<2, V>(p, row, panel, from, depth);
    if (row < p.rows) tile<1, V>(p, row, panel, from, depth);
    from += depth;
  } while (from < p.inputs);
}

void linear(const Linear& p) {
  const int64_t panels = (p.outputs + kVec - 1) / kVec;
  for (int64_t panel = 0; panel < panels; panel += kPanels) switch (panels - panel) {
      case 1: tiles<1>(p, panel); break;
      case 2: tiles<2>(p, panel); break;
      case 3: tiles<3>(p, panel); break;
      default: tiles<kPanels>(p, panel);
    }
}

}  // namespace mtl::MTL_ISA
