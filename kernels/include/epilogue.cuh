// From sums in registers to rows in memory. mma leaves each lane scattered pairs; through shared memory they become eight neighbouring
// columns a thread, so that global accesses are whole 16-byte chunks and whatever is fused works on neighbours.
#pragma once
#include "tile.cuh"

// Where 4-float chunk `chunk` of row `row` lies in the f32 tile. mma's lanes write pairs in four rows at once, so rows are spread by
// two chunks each.
template <class Tile>
DEVICE int sums_offset(int row, int chunk) {
    return row * (Tile::kN * 4) + ((chunk ^ ((row & 3) << 1)) << 4);
}

// Calls `each(row, column, eight)` for every eight neighbouring sums of the tile, row and column within the tile.
template <class Tile, class Each>
DEVICE void for_each_eight(const Accumulators<Tile>& sums, char* shared, Each each) {
    const int lane = threadIdx.x & 31;
    const int m = Tile::warp_m() + lane / 4, n = Tile::warp_n() + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < Tile::kRowsM; i++) {
#pragma unroll
        for (int j = 0; j < Tile::kColumnsN; j++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = m + i * kMmaM + half * 8, column = n + j * kMmaN;
                const float2 pair{sums.d[i][j][half * 2], sums.d[i][j][half * 2 + 1]};
                store_shared(shared + sums_offset<Tile>(row, column / 4) + column % 4 * 4, pair);
            }
        }
    }
    __syncthreads();
    constexpr int kEights = Tile::kN / 8, kRowsAtOnce = Tile::kThreads / kEights;
    const int column = threadIdx.x % kEights * 8;
#pragma unroll 4
    for (int row = threadIdx.x / kEights; row < Tile::kM; row += kRowsAtOnce) {
        const float4 a = load_shared<float4>(shared + sums_offset<Tile>(row, column / 4));
        const float4 b = load_shared<float4>(shared + sums_offset<Tile>(row, column / 4 + 1));
        each(row, column, Eight{{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}});
    }
}
