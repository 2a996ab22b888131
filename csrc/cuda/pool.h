// What the kernels are given, and the functions that start them. Neither torch nor CUDA is needed to
// include this.
#pragma once

#include <cstdint>

namespace mtl::cuda {

enum Type : int32_t { kFloat, kDouble, kBFloat16, kHalf };

// A batch of sentences, on the device. Sentences and steps of `gates`, `by_h` and `by_gates` stand
// apart by strides, counted in numbers; everything else is contiguous. Pointers that may be null say
// so. D directions; the columns of each stand side by side, and the second reads the other way.
struct Batch {
  int64_t sentences, steps, width, directions, count;  // B, T, H, D, gates a channel
  bool reverse;                                        // whether the first direction is leftwards
  Type type;                                           // of all numbers
  const void* gates;                                   // [B, T, D·count·H]
  int64_t gates_sentence, gates_step;
  const void* c0;          // [B, D·H] or null: zero
  const int64_t* lengths;  // [B] or null: all steps
  const bool* keep;        // [B, T, D·H] or null: nowhere
};

struct Forward : Batch {
  void* h;       // [B, T, D·H]
  void* last;    // [B, D·H]
  void* states;  // [B, T, D·H] or null: not wanted
};

struct Backward : Batch {
  const void* states;  // [B, T, D·H]
  const void* by_h;    // [B, T, D·H]
  int64_t by_h_sentence, by_h_step;
  const void* by_last;  // [B, D·H]
  void* by_gates;       // [B, T, D·count·H], may be the gates
  int64_t by_gates_sentence, by_gates_step;
  void* by_c0;  // [B, D·H]
};

}  // namespace mtl::cuda

// Start a kernel on a stream and return its cudaError_t. Sentences and width are not 0.
extern "C" int mtl_cuda_forward(const mtl::cuda::Forward* pass, void* stream);
extern "C" int mtl_cuda_backward(const mtl::cuda::Backward* pass, void* stream);
