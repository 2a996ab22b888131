// The operators for CUDA, on torch's current stream and device. Once this library is loaded, the
// dispatcher uses these kernels for tensors on CUDA devices.
#define USE_CUDA  // without it, torch's headers do not declare the stream
#include <cuda_runtime_api.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "../operators.h"
#include "pool.h"

namespace {

using torch::stable::Tensor;

template <class T>
constexpr MtlType kType = std::is_same_v<T, float>           ? kMtlFloat
                          : std::is_same_v<T, double>        ? kMtlDouble
                          : std::is_same_v<T, c10::BFloat16> ? kMtlBFloat16
                                                             : kMtlHalf;

template <class T>
int start(const mtl::Forward<T>& p, void* stream) {
  return mtl_cuda_forward(&p, kType<T>, stream);
}

template <class T>
int start(const mtl::Backward<T>& p, void* stream) {
  return mtl_cuda_backward(&p, kType<T>, stream);
}

struct Cuda {
  template <class Pass>
  static void run(const Pass& p, const Tensor& gates) {
    const int32_t device = gates.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
    STD_CUDA_CHECK(static_cast<cudaError_t>(start(p, stream)));
  }
};

using Pool = mtl::Operators<Cuda>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mtl, CUDA, m) {
  m.impl("pool", TORCH_BOX(&Pool::pool));
  m.impl("pool_backward", TORCH_BOX(&Pool::pool_backward));
  m.impl("pool_backward_", TORCH_BOX(&Pool::pool_backward_in_place));
}

// For `python -m mtl.ops`.
extern "C" __attribute__((visibility("default"))) const char* mtl_instruction_set() {
  return MTL_KINDS;
}
extern "C" __attribute__((visibility("default"))) const char* mtl_build() {
  return MTL_BUILD;
}
