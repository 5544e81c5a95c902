// A block's tile of a matrix product D[m, n] = sum over k of A[m, k] * B[n, k], computed by its warps with mma.sync.
//
// Operands lie in shared memory as panels: rows of 128 bytes (64 bf16), so that a row is one full pass over the banks. The eight chunks
// of 16 bytes of row r are permuted by XOR with r % 8; then the eight rows of an 8x8 matrix, as ldmatrix reads them, lie in different
// banks, and so do the eight chunks of a row, as cp.async writes them.
// - An operand whose k index is contiguous in memory is "k-major": one panel, its rows the m (or n) index, its columns 64 k.
// - One whose m (or n) index is contiguous is "mn-major": a panel for every 64 m (or n), its rows 64 k; ldmatrix transposes.
// Either way a block of 64 k of M rows takes M * 128 bytes, and fragments come out the same.
#pragma once
#include "arguments.cuh"
#include "types.cuh"

constexpr int kBlockK = 64;       // k of one stage
constexpr int kPanelRow = 128;    // bytes
constexpr int kChunksPerRow = 8;  // of 16 bytes, eight bf16
constexpr int kMmaM = 16, kMmaN = 8, kMmaK = 16;

enum class Major { kK, kMN };

// M x N outputs, kStages blocks of k in shared memory at once, kWarpsM x kWarpsN warps. Declared through TILE_SHAPE, see tiles.cuh.
template <int kM_, int kN_, int kStages_, int kWarpsM_, int kWarpsN_>
struct TileShape {
    static constexpr int kM = kM_, kN = kN_, kStages = kStages_, kWarpsM = kWarpsM_, kWarpsN = kWarpsN_;
    static constexpr int kThreads = kWarpsM * kWarpsN * 32;
    static constexpr int kWarpM = kM / kWarpsM, kWarpN = kN / kWarpsN;              // outputs of one warp
    static constexpr int kRowsM = kWarpM / kMmaM, kColumnsN = kWarpN / kMmaN;       // mma tiles of one warp
    static constexpr int kBytesA = kM * kPanelRow, kBytesB = kN * kPanelRow;
    static constexpr int kStageBytes = kBytesA + kBytesB;
    static constexpr int kRowsPerPass = kThreads / kChunksPerRow;                   // rows that the threads load at once
    static constexpr int kPassesA = kM / kRowsPerPass, kPassesB = kN / kRowsPerPass;
    static_assert(kM % kRowsPerPass == 0 && kN % kRowsPerPass == 0, "every thread loads the same number of chunks");
    static_assert(kM % 64 == 0 && kN % 64 == 0, "whole panels");
    static_assert(kBlockK % kRowsPerPass == 0, "an mn-major panel is loaded in whole passes");
    static_assert(kColumnsN % 2 == 0, "one ldmatrix.x4 serves two columns of mma tiles");
    static_assert(kM * kN * 4 <= kStages * kStageBytes, "the epilogue's f32 tile reuses the stages");
};

// Where chunk `chunk` of row `row` lies in a panel.
DEVICE int panel_offset(int row, int chunk) { return row * kPanelRow + ((chunk ^ (row & 7)) << 4); }

// The sums of one warp, in the layout of mma's D: lane l holds of each 16x8 tile rows l/4 and l/4+8, columns 2*(l%4) and the next.
template <class Tile>
struct Accumulators {
    float d[Tile::kRowsM][Tile::kColumnsN][4];
    DEVICE void clear() {
#pragma unroll
        for (int i = 0; i < Tile::kRowsM; i++) {
#pragma unroll
            for (int j = 0; j < Tile::kColumnsN; j++) {
#pragma unroll
                for (int e = 0; e < 4; e++) d[i][j][e] = 0.f;
            }
        }
    }
};

// Sixteen m by sixteen k of A from row `m` on.
template <Major kMajor>
DEVICE void load_fragment_a(uint32_t (&a)[4], const char* panels, int m, int k_chunk, int lane) {
    if constexpr (kMajor == Major::kK) {
        // Matrices: (m 0-7, k 0-7), (m 8-15, k 0-7), (m 0-7, k 8-15), (m 8-15, k 8-15).
        load_matrices<false>(a, panels + panel_offset(m + (lane & 15), k_chunk + (lane >> 4)));
    } else {
        const int k = k_chunk * 8 + (lane & 7) + (lane >> 4) * 8, column = m + (lane >> 3 & 1) * 8;
        load_matrices<true>(a, panels + column / 64 * (kBlockK * kPanelRow) + panel_offset(k, column % 64 / 8));
    }
}

// Sixteen n by sixteen k of B from row `n` on: b[0], b[1] for the first eight n, b[2], b[3] for the others.
template <Major kMajor>
DEVICE void load_fragment_b(uint32_t (&b)[4], const char* panels, int n, int k_chunk, int lane) {
    if constexpr (kMajor == Major::kK) {
        // Matrices: (n 0-7, k 0-7), (n 0-7, k 8-15), (n 8-15, k 0-7), (n 8-15, k 8-15).
        load_matrices<false>(b, panels + panel_offset(n + (lane & 7) + (lane >> 4) * 8, k_chunk + (lane >> 3 & 1)));
    } else {
        const int k = k_chunk * 8 + (lane & 7) + (lane >> 3 & 1) * 8, column = n + (lane >> 4) * 8;
        load_matrices<true>(b, panels + column / 64 * (kBlockK * kPanelRow) + panel_offset(k, column % 64 / 8));
    }
}

// Adds one stage: 64 k.
template <class Tile, Major kMajorA, Major kMajorB>
DEVICE void multiply_stage(Accumulators<Tile>& sums, const char* stage) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int m = warp % Tile::kWarpsM * Tile::kWarpM, n = warp / Tile::kWarpsM * Tile::kWarpN;
    const char* a_panels = stage;
    const char* b_panels = stage + Tile::kBytesA;
#pragma unroll
    for (int step = 0; step < kBlockK / kMmaK; step++) {
        uint32_t a[Tile::kRowsM][4], b[Tile::kColumnsN / 2][4];
#pragma unroll
        for (int i = 0; i < Tile::kRowsM; i++) load_fragment_a<kMajorA>(a[i], a_panels, m + i * kMmaM, step * 2, lane);
#pragma unroll
        for (int j = 0; j < Tile::kColumnsN / 2; j++) load_fragment_b<kMajorB>(b[j], b_panels, n + j * 2 * kMmaN, step * 2, lane);
#pragma unroll
        for (int i = 0; i < Tile::kRowsM; i++) {
#pragma unroll
            for (int j = 0; j < Tile::kColumnsN; j++) multiply_add(sums.d[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
    }
}
