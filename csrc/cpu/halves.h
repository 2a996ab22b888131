// The two 16-bit types of the loops: those of torch where its operators are compiled. The library without
// torch (runtime/) has its own, and compiles the loops for float alone.
#pragma once

#ifdef TORCH_TARGET_VERSION
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

namespace mtl {
using c10::BFloat16;
using c10::Half;
}  // namespace mtl
#else
#include <cstdint>

namespace mtl {

// The bits of a number. Vectors of them are converted in lanes.h.
struct BFloat16 {
  uint16_t bits;
  BFloat16() = default;
  explicit BFloat16(int zero) : bits(uint16_t(zero)) {}
};

struct Half {
  uint16_t bits;
  Half() = default;
  explicit Half(int zero) : bits(uint16_t(zero)) {}
};

}  // namespace mtl
#endif
