#include "isa.h"

#include <cstdlib>
#include <string_view>

namespace mtl {
namespace {

constexpr const char* kNames[] = {"base", "avx2", "avx512"};

Isa choose() {
  Isa best = Isa::kBase;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    best = Isa::kAvx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      best = Isa::kAvx512;
  }
#endif
  const char* asked = std::getenv("MTL_ISA");
  for (int isa = 0; asked && isa < int(best); ++isa)
    if (std::string_view(asked) == kNames[isa]) return Isa(isa);
  return best;
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

}  // namespace mtl

// For `python -m mtl.ops`.
extern "C" __attribute__((visibility("default"))) const char* mtl_instruction_set() {
  return mtl::kNames[int(mtl::isa())];
}
