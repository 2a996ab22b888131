// Which instruction set the loops run on: one of those they were compiled for.
#pragma once

#include <cstdint>

namespace mtl {

enum class Isa { kBase, kAvx2, kAvx512 };

// The best instruction set that the processor has and MTL_ISA, where it names one, allows. Chosen once.
Isa isa();

// The bytes of a vector of that instruction set.
inline int64_t vector_bytes() { return int64_t(16) << int(isa()); }

}  // namespace mtl
