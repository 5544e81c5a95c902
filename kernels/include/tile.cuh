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
    static_assert((kWarpM == 32 || kWarpM == 64) && (kWarpN == 32 || kWarpN == 64), "see Fragments");
    // Where this thread's warp begins.
    DEVICE static int warp_m() { return static_cast<int>(threadIdx.x) / 32 % kWarpsM * kWarpM; }
    DEVICE static int warp_n() { return static_cast<int>(threadIdx.x) / 32 / kWarpsM * kWarpN; }
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

// Where this lane's rows of fragments lie in an operand's panels, as ldmatrix wants them: that of the first fragment, from which the
// others follow by an XOR of the chunk and a constant number of rows. Kept in one register an operand throughout the main loop.
//
// A fragment is sixteen m (or n) by sixteen k, as four 8x8 matrices; lanes 8i..8i+7 give the rows of matrix i. In the order in which
// mma wants its registers, the matrices of A are (m 0-7, k 0-7), (m 8-15, k 0-7), (m 0-7, k 8-15), (m 8-15, k 8-15), and those of B
// (n 0-7, k 0-7), (n 0-7, k 8-15), (n 8-15, k 0-7), (n 8-15, k 8-15): the first two serve eight columns, the others the next eight.
template <Major kMajor>
struct Fragments {
    int first;

    // `outer` is the first m (or n) of the warp.
    DEVICE static Fragments of_a(int outer, int lane) { return at(outer, lane & 15, lane >> 4 & 1, lane >> 3 & 1, lane); }
    DEVICE static Fragments of_b(int outer, int lane) {
        return at(outer, (lane & 7) + (lane >> 4) * 8, lane >> 3 & 1, lane >> 4 & 1, lane);
    }
    // `row` of a k-major fragment; whether this lane's matrix is of k 8-15, and whether it is of m (or n) 8-15.
    DEVICE static Fragments at(int outer, int row, int late_k, int late_outer, int lane) {
        if constexpr (kMajor == Major::kK) return {panel_offset(outer + row, late_k)};
        const int column = outer + late_outer * 8;
        return {column / 64 * (kBlockK * kPanelRow) + panel_offset((lane & 7) + late_k * 8, column % 64 / 8)};
    }
    // The fragment of the warp's `index`-th sixteen m (or n) and the stage's `step`-th sixteen k. Sixteen elements along a panel's row
    // are two chunks; as `outer` is a multiple of the warp's extent, adding them to the chunk is an XOR.
    DEVICE void load(uint32_t (&fragment)[4], const char* panels, int index, int step) const {
        constexpr bool kTranspose = kMajor == Major::kMN;
        const int along_row = kTranspose ? index : step, rows = (kTranspose ? step : index) * 16;
        load_matrices<kTranspose>(fragment, panels + (first ^ (along_row << 5)) + rows * kPanelRow);
    }
};

// Adds one stage: 64 k.
template <class Tile, Major kMajorA, Major kMajorB>
DEVICE void multiply_stage(Accumulators<Tile>& sums, const char* stage, Fragments<kMajorA> of_a, Fragments<kMajorB> of_b) {
#pragma unroll
    for (int step = 0; step < kBlockK / kMmaK; step++) {
        uint32_t a[Tile::kRowsM][4];
#pragma unroll
        for (int i = 0; i < Tile::kRowsM; i++) of_a.load(a[i], stage, i, step);
        // B two columns of tiles at a time: registers are what limits the number of blocks on an SM.
#pragma unroll
        for (int j = 0; j < Tile::kColumnsN / 2; j++) {
            uint32_t b[4];
            of_b.load(b, stage + Tile::kBytesA, j, step);
#pragma unroll
            for (int i = 0; i < Tile::kRowsM; i++) {
                multiply_add(sums.d[i][2 * j], a[i], b[0], b[1]);
                multiply_add(sums.d[i][2 * j + 1], a[i], b[2], b[3]);
            }
        }
    }
}
