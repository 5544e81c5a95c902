// The linear layer on tensor cores: y = x w^T + bias, dx = dy w, dw = dy^T x, and dbias, the column sums of dy.
//
// Layout: x [n,c], w [k,c], y and dy [n,k], bf16, dense, aligned to 16 bytes; c and k multiples of 8. bias, dw and dbias f32.
//   fprop: both operands k-major. dgrad: w is mn-major. wgrad: both are mn-major; its k runs over the n rows of the batch.
// Owner: a block computes a tile of the result, by itself; in dbias a thread owns a column. Bitwise repeatable.
// Cost: 2*n*c*k FLOP each; bound by memory at the batch sizes of training.
// Status: emulated only; no GPU has run it.
#include "epilogue.cuh"
#include "operands.cuh"
#include "pipeline.cuh"
#include "tiles.cuh"

namespace {

template <class Tile, Major kMajorA, Major kMajorB>
struct Source {
    Matrix a, b;
    int block = 0;
    DEVICE void load(char* stage) {
        if constexpr (kMajorA == Major::kK) a.template copy_rows<Tile, Tile::kM>(stage, block);
        else a.template copy_columns<Tile, Tile::kM>(stage, block);
        if constexpr (kMajorB == Major::kK) b.template copy_rows<Tile, Tile::kN>(stage + Tile::kBytesA, block);
        else b.template copy_columns<Tile, Tile::kN>(stage + Tile::kBytesA, block);
        block++;
    }
};

// out[m, n] [+]= a * b [+ bias[n]].
template <class Tile, Major kMajorA, Major kMajorB, class Out>
DEVICE void product(const bf16* a, int stride_a, const bf16* b, int stride_b, const float* bias, Out* out, int m, int n, int k, int accumulate) {
    char* shared = dynamic_shared();
    const int first_m = blockIdx.x * Tile::kM, first_n = blockIdx.y * Tile::kN;
    Source<Tile, kMajorA, kMajorB> source{{a, stride_a, first_m, m, k}, {b, stride_b, first_n, n, k}};
    Accumulators<Tile> sums;
    accumulate_tile<Tile, kMajorA, kMajorB>(sums, source, shared, ceil_div(k, kBlockK));
    for_each_eight(sums, shared, [&](int row, int column, Eight eight) {
        row += first_m;
        column += first_n;
        if (row >= m || column >= n) return;
        Out* to = out + static_cast<int64_t>(row) * n + column;
        if (bias) add_eight(eight, load_eight(bias + column));
        if (accumulate) add_eight(eight, load_eight(to));
        store_eight(to, eight);
    });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128, 4)
linear_fprop(const bf16* x, const bf16* w, const float* bias, bf16* y, LinearShape shape) {
    product<M64N64, Major::kK, Major::kK>(x, shape.c, w, shape.c, bias, y, shape.n, shape.k, shape.c, 0);
}

extern "C" __global__ void __launch_bounds__(128, 4) linear_dgrad(const bf16* dy, const bf16* w, bf16* dx, LinearShape shape, int accumulate) {
    product<M64N64, Major::kK, Major::kMN>(dy, shape.k, w, shape.c, nullptr, dx, shape.n, shape.c, shape.k, accumulate);
}

extern "C" __global__ void __launch_bounds__(128, 4) linear_wgrad(const bf16* x, const bf16* dy, float* dw, LinearShape shape, int accumulate) {
    product<M64N64, Major::kMN, Major::kMN>(dy, shape.k, x, shape.c, nullptr, dw, shape.k, shape.c, shape.n, accumulate);
}

// Rows in order, in f32 with the rounding errors carried along (Kahan).
extern "C" __global__ void __launch_bounds__(128) linear_dbias(const bf16* dy, float* dbias, LinearShape shape, int accumulate) {
    const int column = static_cast<int>(global_thread());
    if (column >= shape.k) return;
    float sum = 0.f, lost = 0.f;
    for (int row = 0; row < shape.n; row++) {
        const float term = __fsub_rn(to_float(dy[static_cast<int64_t>(row) * shape.k + column]), lost);
        const float next = __fadd_rn(sum, term);
        lost = __fsub_rn(__fsub_rn(next, sum), term);
        sum = next;
    }
    dbias[column] = accumulate ? dbias[column] + sum : sum;
}
