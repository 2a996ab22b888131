// The C interface: checks, the choice of the instruction set, and the loops over sentences. The header
// documents the functions.
#include "mtl_runtime.h"

#include <algorithm>
#include <limits>
#include <new>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/crf_batch.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "cpu/rows.h"
#include "linear.h"

namespace {

using namespace mtl;

struct Error {
  int code;
};

void expect(bool holds, int code) {
  if (!holds) throw Error{code};
}

// Calls `run`; no exception leaves the library.
template <class Run>
int guarded(const Run& run) {
  try {
    run();
    return MTL_OK;
  } catch (const Error& error) {
    return error.code;
  } catch (...) {
    return MTL_NO_MEMORY;
  }
}

// The product of sizes. Fails for negative ones, and where the bytes of so many numbers are no int64.
int64_t product(std::initializer_list<int64_t> sizes) {
  int64_t all = 1;
  for (const int64_t size : sizes) expect(size >= 0, MTL_BAD_SIZE);
  for (const int64_t size : sizes) {
    expect(!size || all <= std::numeric_limits<int64_t>::max() / 8 / size, MTL_BAD_SIZE);
    all *= size;
  }
  return all;
}

// An array must be there, unless it is empty.
void expect_array(const void* data, int64_t count) { expect(data || !count, MTL_NULL_POINTER); }

void expect_lengths(const int64_t* lengths, int64_t sentences, int64_t steps) {
  for (int64_t b = 0; lengths && b < sentences; ++b)
    expect(lengths[b] >= 0 && lengths[b] <= steps, MTL_BAD_LENGTH);
}

void expect_directions(int64_t directions) {
  expect(directions == 1 || directions == 2, MTL_BAD_SIZE);
}

// The inputs that all recurrences over rows share, checked. `size` is the number of numbers per row.
Rows<float> rows_of(const float* table, int64_t rows, int64_t stride, const int64_t* ids,
                    int64_t sentences, int64_t steps, const int64_t* lengths, const float* start,
                    int64_t width, int64_t size, int reverse, int64_t directions, float* h) {
  const int64_t tokens = product({sentences, steps});
  expect(rows >= 0 && stride >= size, MTL_BAD_SIZE);
  expect_array(table, product({rows, stride}));
  expect_array(h, product({tokens, directions, width}));
  expect_lengths(lengths, sentences, steps);
  if (ids) {
    for (int64_t i = 0; i < tokens; ++i) expect(ids[i] >= 0 && ids[i] < rows, MTL_BAD_ID);
  } else {
    expect(rows >= tokens, MTL_BAD_SIZE);
  }
  return {sentences, steps, width, directions, reverse != 0, table, stride, ids, lengths, start, h};
}

int64_t packed_size(int64_t outputs, int64_t inputs) {
  const int64_t lanes = vector_bytes() / int64_t(sizeof(float));
  return product({(outputs + lanes - 1) / lanes * lanes, inputs});
}

// Runs all tasks here.
struct Alone {
  template <class Pass>
  static void run(int64_t tasks, int64_t, const Pass& pass) {
    if (tasks) pass(int64_t(0), tasks);
  }
};

template <class T>
T argument(int64_t value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<T>(value);
  } else {
    return static_cast<T>(value);
  }
}

// Calls a function with numbers and addresses, 8 bytes each.
template <class... Types, size_t... n>
int call(int (*function)(Types...), const int64_t* arguments, std::index_sequence<n...>) {
  return function(argument<Types>(arguments[n])...);
}

template <class... Types>
int call(int (*function)(Types...), const int64_t* arguments) {
  return call(function, arguments, std::index_sequence_for<Types...>{});
}

// The arguments of a CRF function, checked.
struct Labelled {
  std::vector<int64_t> all;
  crf::View<float> view;

  Labelled(const float* emissions, const float* transitions, const float* start, const float* end,
           const int64_t* lengths, int64_t sentences, int64_t steps, int64_t labels) {
    expect(labels >= 1, MTL_BAD_SIZE);
    expect_array(emissions, product({sentences, steps, labels}));
    expect_array(transitions, product({labels, labels}));
    expect_array(start, labels);
    expect_array(end, labels);
    expect_lengths(lengths, sentences, steps);
    if (!lengths) all.assign(sentences, steps);
    view = {{labels, transitions, start, end}, sentences, steps, emissions, steps * labels, labels,
            lengths ? lengths : all.data()};
  }
};

}  // namespace

extern "C" {

const char* mtl_error(int code) {
  switch (code) {
    case MTL_OK: return "no error";
    case MTL_BAD_SIZE: return "a size, stride or count is out of range";
    case MTL_BAD_ID: return "an id is not a row of the table";
    case MTL_BAD_LENGTH: return "a length is not from 0 to the number of steps";
    case MTL_BAD_MASK: return "a mask has real tokens after padding";
    case MTL_NULL_POINTER: return "an array is missing";
    case MTL_NO_MEMORY: return "there is not enough memory";
  }
  return "an unknown error";
}

int mtl_lengths(const uint8_t* mask, int64_t sentences, int64_t steps, int64_t* lengths) {
  return guarded([&] {
    expect_array(mask, product({sentences, steps}));
    expect_array(lengths, sentences);
    for (int64_t b = 0; b < sentences; ++b, mask += steps) {
      const auto real = [](uint8_t byte) { return byte != 0; };
      const uint8_t* padding = std::find(mask, mask + steps, 0);
      expect(std::none_of(padding, mask + steps, real), MTL_BAD_MASK);
      lengths[b] = padding - mask;
    }
  });
}

int mtl_pool_rows(const float* table, int64_t rows, int64_t stride, const int64_t* ids,
                  int64_t sentences, int64_t steps, const int64_t* lengths, const float* start,
                  int64_t width, int64_t window, int64_t count, int reverse, int64_t directions,
                  float* h) {
  return guarded([&] {
    expect_directions(directions);
    expect(count >= 2 && count <= 4 && window >= 1, MTL_BAD_SIZE);
    expect_array(ids, product({sentences, steps}));
    const int64_t size = product({window, directions, count, width});
    const PoolRows<float> p{rows_of(table, rows, stride, ids, sentences, steps, lengths, start, width,
                                    size, reverse, directions, h),
                            count, window};
    for (int64_t task = 0; task < sentences * directions; ++task)
      MTL_CHOOSE(pool_rows, p, task / directions, task % directions);
  });
}

int mtl_pool(const float* gates, const float* c0, const int64_t* lengths, int64_t sentences,
             int64_t steps, int64_t width, int64_t count, int reverse, int64_t directions, float* h,
             float* last) {
  return guarded([&] {
    expect_directions(directions);
    expect(count >= 2 && count <= 4, MTL_BAD_SIZE);
    const int64_t size = product({directions, count, width});
    expect_array(gates, product({sentences, steps, size}));
    expect_array(h, product({sentences, steps, directions, width}));
    expect_array(last, product({sentences, directions, width}));
    expect_lengths(lengths, sentences, steps);
    const Forward<float> p{{sentences, steps, width, count, directions, reverse != 0, gates,
                            steps * size, size, c0, lengths, nullptr},
                           h, last, nullptr};
    for (int64_t task = 0; task < sentences * directions; ++task)
      for (int64_t first = 0; first < width; first += kBlock) {
        const Part part{task / directions, task % directions, first, std::min(first + kBlock, width)};
        MTL_CHOOSE(forward, p, part);
      }
  });
}

int64_t mtl_cell_packed_size(int64_t count, int64_t width) {
  int64_t size = 0;
  guarded([&] { size = product({count, packed_size(width, width)}); });
  return size;
}

int mtl_cell_pack(const float* weights, int64_t count, int64_t width, float* packed) {
  return guarded([&] {
    expect(count == 3 || count == 4, MTL_BAD_SIZE);
    expect_array(weights, product({count, width, width}));
    expect_array(packed, product({count, packed_size(width, width)}));
    MTL_CHOOSE(pack, weights, count, width, packed);
  });
}

int mtl_cell_rows(const float* table, int64_t rows, int64_t stride, const int64_t* ids,
                  int64_t sentences, int64_t steps, const int64_t* lengths, const float* start,
                  int64_t start_stride, const float* packed, const float* bias, int64_t width,
                  int64_t count, int reverse, int64_t directions, float* h, float* cells) {
  return guarded([&] {
    expect_directions(directions);
    expect(count == 3 || count == 4, MTL_BAD_SIZE);
    expect(!start_stride || start_stride >= (count - 2) * directions * width, MTL_BAD_SIZE);
    expect_array(packed, product({directions, count, packed_size(width, width)}));
    expect_array(bias, count == 3 ? width : 0);
    CellRows<float> p{rows_of(table, rows, stride, ids, sentences, steps, lengths, start, width,
                              product({directions, count, width}), reverse, directions, h),
                      count, packed, count == 3 ? bias : nullptr};
    p.start_stride = start_stride;
    p.cells = count == 4 ? cells : nullptr;
    if (!width) return;
    std::vector<int64_t> order(sentences);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return p.length(a) > p.length(b); });
    for (int64_t first = 0; first < sentences; first += kGroup)
      for (int64_t direction = 0; direction < directions; ++direction)
        MTL_CHOOSE(cell_rows, p, order.data() + first, std::min(kGroup, sentences - first), direction);
  });
}

int64_t mtl_linear_packed_size(int64_t outputs, int64_t inputs) {
  int64_t size = 0;
  guarded([&] { size = packed_size(outputs, inputs); });
  return size;
}

int mtl_linear_pack(const float* weights, int64_t outputs, int64_t inputs, float* packed) {
  return guarded([&] {
    expect_array(weights, product({outputs, inputs}));
    expect_array(packed, packed_size(outputs, inputs));
    MTL_CHOOSE(pack_linear, weights, outputs, inputs, packed);
  });
}

int mtl_linear(const float* x, int64_t rows, const float* packed, const float* bias, int64_t outputs,
               int64_t inputs, float* y) {
  return guarded([&] {
    expect_array(x, product({rows, inputs}));
    expect_array(packed, packed_size(outputs, inputs));
    expect_array(y, product({rows, outputs}));
    MTL_CHOOSE(linear, Linear{x, rows, inputs, outputs, packed, bias, y});
  });
}

int mtl_crf_viterbi(const float* emissions, const float* transitions, const float* start,
                    const float* end, const int64_t* lengths, int64_t sentences, int64_t steps,
                    int64_t labels, int64_t* paths) {
  return guarded([&] {
    const Labelled in(emissions, transitions, start, end, lengths, sentences, steps, labels);
    expect_array(paths, sentences * steps);
    crf::viterbi<Alone>(in.view, paths, static_cast<float*>(nullptr));
  });
}

int mtl_crf_marginals(const float* emissions, const float* transitions, const float* start,
                      const float* end, const int64_t* lengths, int64_t sentences, int64_t steps,
                      int64_t labels, float* marginals) {
  return guarded([&] {
    const Labelled in(emissions, transitions, start, end, lengths, sentences, steps, labels);
    expect_array(marginals, sentences * steps);
    crf::marginals<Alone>(in.view, marginals);
  });
}

int mtl_crf_log_partition(const float* emissions, const float* transitions, const float* start,
                          const float* end, const int64_t* lengths, int64_t sentences,
                          int64_t steps, int64_t labels, float* values) {
  return guarded([&] {
    const Labelled in(emissions, transitions, start, end, lengths, sentences, steps, labels);
    expect_array(values, sentences);
    crf::partitions<Alone>(
        in.view, static_cast<float*>(nullptr), static_cast<float*>(nullptr),
        [&](const auto&, int64_t b, double partition) { values[b] = float(partition); });
  });
}

// For kernels.py: Python converts one array of arguments much faster than as many arguments.
MTL_API int mtl_call(int function, const int64_t* arguments) {
  switch (function) {
    case 0: return call(mtl_lengths, arguments);
    case 1: return call(mtl_pool_rows, arguments);
    case 2: return call(mtl_pool, arguments);
    case 3: return call(mtl_cell_pack, arguments);
    case 4: return call(mtl_cell_rows, arguments);
    case 5: return call(mtl_linear_pack, arguments);
    case 6: return call(mtl_linear, arguments);
    case 7: return call(mtl_crf_viterbi, arguments);
    case 8: return call(mtl_crf_marginals, arguments);
    case 9: return call(mtl_crf_log_partition, arguments);
  }
  return MTL_BAD_SIZE;
}

}  // extern "C"
