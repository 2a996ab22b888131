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
