// Sums of squares in f64, by the additions of src/cpu/update.rs in its order: so norms, and what is scaled by them, have the CPU's bits.
//
// A piece is 16384 numbers, of which a block takes 64 blocks of 256. Number i of one goes to running sum i % 16; the 16 sums are added
// in order, and the blocks' sums with compensation (Neumaier), so that a trust ratio is good to the last digits. Pieces are added in
// order. Launch with 256 threads and kSquareSumsShared bytes of shared memory.
#pragma once
#include "f64.cuh"
#include "ptx.cuh"

constexpr int kPiece = 16384, kNumbers = 256, kLanes = 16, kBlocks = kPiece / kNumbers;
constexpr int kPitch = kLanes + 1;  // a thread adds a row of lanes: an odd pitch spreads the rows over the banks
constexpr int kSquareSumsShared = kBlocks * kPitch * 8;  // src/cuda/update.rs gives as many
constexpr int kStaged = 1024;
static_assert(kStaged * 8 <= kSquareSumsShared, "what ordered_sum stages must fit");

// The sum of value(i)^2 over i < count <= kPiece: thread 0 gets it. Every thread of the block must come.
template <class F>
DEVICE f64 square_sum(int count, F value) {
    const SharedArray<double> sums{dynamic_shared()};
    const int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes;
    __syncthreads();  // what was here has been read
    for (int block = thread / kLanes; block < kBlocks; block += 256 / kLanes) {
        f64 sum = 0.0;
#pragma unroll 4  // more of them spill in lamb_norms
        for (int row = 0; row < kNumbers / kLanes; row++) {
            const int i = block * kNumbers + row * kLanes + lane;
            if (i >= count) continue;
            const f64 v = value(i);
            sum = sum + v * v;
        }
        sums.set(block * kPitch + lane, sum.v);
    }
    __syncthreads();  // lanes before rows
    f64 sum = 0.0;
    if (thread < kBlocks) {
        for (int i = 0; i < kLanes; i++) sum = sum + sums.get(thread * kPitch + i);
        sums.set(thread * kPitch, sum.v);  // in this thread's own row
    }
    __syncthreads();  // rows before their total
    if (thread != 0) return 0.0;
    f64 total = 0.0, lost = 0.0;
    for (int block = 0; block * kNumbers < count; block++) {
        const f64 term = sums.get(block * kPitch), next = total + term;
        lost = lost + (total < term ? (term - next) + total : (total - next) + term);
        total = next;
    }
    return total + lost;
}

// The sum of `count` numbers that other blocks of this launch wrote, in order: thread 0 gets it. Every thread of the block must come.
DEVICE f64 ordered_sum(const double* from, int count) {
    const SharedArray<double> staged{dynamic_shared()};
    f64 sum = 0.0;
    for (int first = 0; first < count; first += kStaged) {
        const int here = min(count - first, kStaged);
        __syncthreads();  // what was here has been read
        for (int i = threadIdx.x; i < here; i += 256) staged.set(i, __ldcg(from + first + i));
        __syncthreads();  // all is staged
        if (threadIdx.x != 0) continue;
        for (int i = 0; i < here; i++) sum = sum + staged.get(i);
    }
    return sum;
}
