// What starts the kernels. Needs neither torch nor CUDA.
#pragma once

#include "../pool.h"

enum MtlType { kMtlFloat, kMtlDouble, kMtlBFloat16, kMtlHalf };

// Takes a mtl::Forward, or mtl::Backward, of numbers of the type, with sentences and channels; all its
// pointers are of the device that is current. Returns the cudaError_t of the start.
extern "C" int mtl_cuda_forward(const void* pass, MtlType type, void* stream);
extern "C" int mtl_cuda_backward(const void* pass, MtlType type, void* stream);
