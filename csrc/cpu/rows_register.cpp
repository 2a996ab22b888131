// mtl::pool_rows, mtl::cell_rows and mtl::pack_cell for the CPU. Their schemas are in mtl/ops/rows.py.
#include <torch/csrc/stable/library.h>

#include <numeric>
#include <tuple>
#include <vector>

#include "../operators.h"
#include "isa.h"
#include "rows.h"

namespace {

using namespace mtl;

// The inputs that all recurrences share, checked, and their output.
struct RowInputs {
  Tensor table, ids, lengths, h;
  MaybeTensor start;
  int64_t width, directions;
  bool reverse;

  RowInputs(const Tensor& table_, const Tensor& ids_, const Tensor& lengths_,
            const MaybeTensor& start_, int64_t per_unit, int64_t parts, bool reverse_,
            int64_t directions_)
      : table(torch::stable::contiguous(table_)),
        ids(torch::stable::contiguous(ids_)),
        lengths(torch::stable::contiguous(lengths_)),
        start(contiguous(start_)),
        directions(directions_),
        reverse(reverse_) {
    STD_TORCH_CHECK(directions == 1 || directions == 2, "mtl: expected 1 or 2 directions");
    STD_TORCH_CHECK(table.dim() == 2 && table.size(1) % (per_unit * directions) == 0,
                    "mtl: expected a table [N, ", per_unit * directions, "·H]");
    width = table.size(1) / per_unit / directions;
    STD_TORCH_CHECK(ids.dim() == 2 && ids.scalar_type() == ScalarType::Long,
                    "mtl: expected ids [B, T] of type int64");
    STD_TORCH_CHECK(lengths.dim() == 1 && lengths.size(0) == ids.size(0) &&
                        lengths.scalar_type() == ScalarType::Long,
                    "mtl: expected lengths [B] of type int64");
    STD_TORCH_CHECK(!start || (start->dim() == 2 && start->size(0) == parts &&
                               start->size(1) == directions * width &&
                               start->scalar_type() == ScalarType::Float),
                    "mtl: expected a start [", parts, ", ", directions * width, "] of type float32");
    const int64_t* id = ids.const_data_ptr<int64_t>();
    const int64_t count = ids.size(0) * ids.size(1), rows = table.size(0);
    for (int64_t i = 0; i < count; ++i)
      STD_TORCH_CHECK(id[i] >= 0 && id[i] < rows, "mtl: id ", id[i], " is outside of the table");
    h = torch::stable::new_empty(table, {ids.size(0), ids.size(1), directions * width},
                                 ScalarType::Float);
  }

  template <class T>
  Rows<T> rows() {
    return {ids.size(0),
            ids.size(1),
            width,
            directions,
            reverse,
            table.const_data_ptr<T>(),
            table.size(1),
            ids.const_data_ptr<int64_t>(),
            lengths.const_data_ptr<int64_t>(),
            data<float>(start),
            h.mutable_data_ptr<float>()};
  }

  template <class Pass>
  void dispatch(const Pass& pass) const {
    if (ids.size(0) == 0 || width == 0) return;
    switch (table.scalar_type()) {
      case ScalarType::Float: return pass(static_cast<float*>(nullptr));
      case ScalarType::Half: return pass(static_cast<c10::Half*>(nullptr));
      default: STD_TORCH_CHECK(false, "mtl: expected a table of type float32 or float16");
    }
  }
};

Tensor pool(Tensor table, Tensor ids, Tensor lengths, MaybeTensor start, int64_t window,
            int64_t count, bool reverse, int64_t directions) {
  STD_TORCH_CHECK(count >= 2 && count <= 4 && window >= 1,
                  "mtl::pool_rows: expected 2, 3 or 4 gates and a window of at least 1");
  RowInputs in(table, ids, lengths, start, window * count, 1, reverse, directions);
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const PoolRows<T> p{in.rows<T>(), count, window};
    torch::stable::parallel_for(
        0, p.sentences * directions, std::max<int64_t>(1, 16384 / (p.steps * p.width + 1)),
        [&](int64_t begin, int64_t end) {
          for (int64_t task = begin; task < end; ++task)
            MTL_CHOOSE(pool_rows, p, task / directions, task % directions);
        });
  });
  return in.h;
}

int64_t packed_size(int64_t width, int64_t count) {
  const int64_t lanes = vector_bytes() / int64_t(sizeof(float));
  return (width + lanes - 1) / lanes * lanes * width * count;
}

Tensor pack_cell(Tensor weights) {
  STD_TORCH_CHECK(weights.dim() == 2 && weights.size(1) > 0 && weights.size(0) % weights.size(1) == 0 &&
                      weights.scalar_type() == ScalarType::Float,
                  "mtl::pack_cell: expected weights [G·H, H] of type float32");
  weights = torch::stable::contiguous(weights);
  const int64_t width = weights.size(1), count = weights.size(0) / width;
  Tensor packed = torch::stable::new_empty(weights, {packed_size(width, count)});
  MTL_CHOOSE(pack, weights.const_data_ptr<float>(), count, width, packed.mutable_data_ptr<float>());
  return packed;
}

Tensor cell(Tensor table, Tensor ids, Tensor lengths, MaybeTensor start, Tensor weights,
            MaybeTensor bias, int64_t count, bool reverse, int64_t directions) {
  STD_TORCH_CHECK(count == 3 || count == 4, "mtl::cell_rows: expected 3 or 4 gates");
  RowInputs in(table, ids, lengths, start, count, count - 2, reverse, directions);
  weights = torch::stable::contiguous(weights);
  bias = contiguous(bias);
  STD_TORCH_CHECK(weights.dim() == 2 && weights.size(0) == directions &&
                      weights.size(1) == packed_size(in.width, count) &&
                      weights.scalar_type() == ScalarType::Float,
                  "mtl::cell_rows: expected the weights of pack_cell, one row per direction");
  STD_TORCH_CHECK(bool(bias) == (count == 3) &&
                      (!bias || (bias->dim() == 2 && bias->size(0) == directions &&
                                 bias->size(1) == in.width &&
                                 bias->scalar_type() == ScalarType::Float)),
                  "mtl::cell_rows: expected a bias [directions, H] for 3 gates, none for 4");
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const CellRows<T> p{in.rows<T>(), count, weights.const_data_ptr<float>(), data<float>(bias)};
    std::vector<int64_t> order(p.sentences);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return p.length(a) > p.length(b); });
    const int64_t groups = (p.sentences + kGroup - 1) / kGroup;
    torch::stable::parallel_for(0, groups * directions, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task / directions * kGroup;
        MTL_CHOOSE(cell_rows, p, order.data() + first, std::min(kGroup, p.sentences - first),
                   task % directions);
      }
    });
  });
  return in.h;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mtl, CPU, m) {
  m.impl("pool_rows", TORCH_BOX(&pool));
  m.impl("pack_cell", TORCH_BOX(&pack_cell));
  m.impl("cell_rows", TORCH_BOX(&cell));
}
