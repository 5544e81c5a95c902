// Sums over the rows of a tile, channel by channel, by blocks of 256 threads: eight units of eight channels by 32 row lanes.
#pragma once
#include "channels.cuh"
#include "ptx.cuh"
#include "reduce.cuh"

constexpr int kUnits = 8, kRowLanes = 32, kWarps = 8;
constexpr int kTileSumsShared = kWarps * kUnits * 8 * 4;  // bytes; src/cuda/norm.rs gives as many

DEVICE int my_unit() { return static_cast<int>(threadIdx.x) % kUnits; }
DEVICE int my_row_lane() { return static_cast<int>(threadIdx.x) / kUnits; }

// The rows of tile blockIdx.x.
struct TileRows {
    int first, end;
    DEVICE TileRows(int rows, int tile_rows) : first(blockIdx.x * tile_rows), end(min(first + tile_rows, rows)) {}
    DEVICE int count() const { return end - first; }
    // This thread's rows, in order; none where its channels do not exist.
    template <class F>
    DEVICE void for_each(F f, const Channels& channels) const {
        if (channels.count <= 0) return;
        for (int row = first + my_row_lane(); row < end; row += kRowLanes) f(row);
    }
};

// The sum of `mine` over the block's row lanes, for every thread, in a fixed order. Every thread of the block must come here.
DEVICE Eight sum_over_rows(Eight mine) {
    const SharedArray<float> partial{dynamic_shared()};
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        mine.v[i] += __shfl_xor_sync(kAllLanes, mine.v[i], 8);
        mine.v[i] += __shfl_xor_sync(kAllLanes, mine.v[i], 16);
    }
    __syncthreads();  // the last sums have been read
    if (lane < kUnits) {
#pragma unroll
        for (int i = 0; i < 8; i++) partial.set((warp * kUnits + lane) * 8 + i, mine.v[i]);
    }
    __syncthreads();
    Eight total{};
#pragma unroll
    for (int w = 0; w < kWarps; w++) {
#pragma unroll
        for (int i = 0; i < 8; i++) total.v[i] += partial.get((w * kUnits + my_unit()) * 8 + i);
    }
    return total;
}
