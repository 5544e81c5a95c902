// wgmma: products whose operands a warpgroup reads from shared memory, and whose sums it may touch, only after a wait.
//
// A warp computes the 16 rows that its own registers hold, so one warp's products need no meeting with the other three; that all four
// issue the same ones is checked at each commit. Between issue and wait the registers hold NaN and the operands must not be written.
// Stricter than the hardware: a wgmma.fence is asked for after every wait, not only when registers were touched.
#pragma once
#include <cstdint>

#include "block.h"

namespace emulator {

// What the lanes of a warp bring: D (64 x columns) = A * B^T, plus D if `accumulate`; descriptors of A (64 x 16) and B (columns x 16).
void wgmma_issue(float* registers, unsigned columns, uint64_t a, uint64_t b, bool accumulate);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(unsigned allowed);

// fence.proxy.async: what this thread wrote before may be read by wgmma behind a later barrier.
void fence_proxy_async();

// The offset of the block's shared memory that `address` is, as cvta.to.shared gives it.
uint64_t shared_offset(const void* address);

}  // namespace emulator
