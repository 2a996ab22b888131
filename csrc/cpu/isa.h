// The instruction set of the loops: one of those that they were compiled for.
#pragma once

#include <cstdint>

namespace mtl {

enum class Isa { kBase, kAvx2, kAvx512 };

// The best instruction set of the processor, at most MTL_ISA if it is set. Chosen once.
Isa isa();

// The size of its vectors in bytes.
inline int64_t vector_bytes() { return int64_t(16) << int(isa()); }

}  // namespace mtl

// Calls the function of the namespace of the chosen instruction set.
#ifdef __x86_64__
#define MTL_CHOOSE(function, ...)                                              \
  (mtl::isa() == mtl::Isa::kAvx512 ? mtl::avx512::function(__VA_ARGS__)        \
   : mtl::isa() == mtl::Isa::kAvx2 ? mtl::avx2::function(__VA_ARGS__)          \
                                   : mtl::base::function(__VA_ARGS__))
#else
#define MTL_CHOOSE(function, ...) mtl::base::function(__VA_ARGS__)
#endif
