// The function that launches the kernels. Its declaration needs neither torch nor CUDA.
#pragma once

#include "../pool.h"

enum MtlType { kMtlFloat, kMtlDouble, kMtlBFloat16, kMtlHalf };

// Takes a mtl::Forward or mtl::Backward of this type, with at least one sentence and channel. All its
// pointers are on the current device. Returns the cudaError_t of the launch.
extern "C" int mtl_cuda_forward(const void* pass, MtlType type, void* stream);
extern "C" int mtl_cuda_backward(const void* pass, MtlType type, void* stream);
