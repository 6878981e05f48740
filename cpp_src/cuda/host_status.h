// Two numbers that the host has to know before it can make arrays of the right size.
#pragma once
#include "torch_cuda.h"

namespace torchmdnet {

struct HostStatus {
  int32_t count, faults;
};

// Waits for the stream; refuses where that cannot be, with an advice.
inline HostStatus fetch_status(const int32_t* status, Stream stream, const char* who, const char* advice) {
  cudaStreamCaptureStatus capture;
  check_cuda(cudaStreamIsCapturing(stream, &capture), who);
  if (capture != cudaStreamCaptureStatusNone)
    fail(std::string("the number of pairs is not known while a CUDA graph is captured: ") + advice);
  int32_t host[2];
  check_cuda(cudaMemcpyAsync(host, status, sizeof host, cudaMemcpyDeviceToHost, stream), who);
  check_cuda(cudaStreamSynchronize(stream), who);
  return {host[0], host[1]};
}

}  // namespace torchmdnet
