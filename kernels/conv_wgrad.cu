// The gradient of a convolution by its filters, dw[k, r, s, c] = sum over pixels of dy[pixel, k] * x[pixel + tap, c], on tensor cores
// (bf16 in, f32 out), split over pixels.
//
// Product: rows m are filters, columns n are (r, s, c), k runs over the output's pixels. Both operands are mn-major as they lie.
// There are few tiles (64 filters of 3x3x64 make nine of 64x64) and up to a million pixels, so blockIdx.z splits the pixels. Every
// split writes its sums to a slab of its own; the block that comes last to a tile, known by a ticket, adds the slabs in the order of the
// splits, whichever block that is. So results are bitwise repeatable, and one launch does all. The last block also sets its ticket back
// to zero: the next launch, or a replay of a captured one, finds it as this one did.
// Layout: x [n,h,w,c], dy [n,p,q,k], dw [k,r,s,c] f32, dense, below 2^31 elements each, aligned to 16 bytes; c and k multiples of 8.
//   slabs: [splits][k*r*s*c] f32, unused with one split. tickets: one a tile, zero before the first launch.
// Owner: a block computes a tile for one split. A thread copies the same eight filters, and eight channels of one tap, of every pixel
//   it copies.
// Cost: 2*n*p*q*r*s*c*k FLOP; reads dy about r*s*c/N times and x k/M times from L2; slabs stay in L2.
// Status: emulated only; no GPU has run it.
#include "epilogue.cuh"
#include "operands.cuh"
#include "pipeline.cuh"
#include "ticket.cuh"
#include "tiles.cuh"

namespace {

template <class Tile>
struct Source {
    static constexpr int kPanels = Tile::kN / 64;
    const bf16* x;
    const bf16* dy;
    const ConvShape& g;
    int filter;                                     // of this thread's chunk in the first panel of dy
    int row[kPanels], column[kPanels], c[kPanels];  // of its chunk of x: the tap's offset from the window's origin, and the channel
    bool exists[kPanels];
    int pixel, end;

    DEVICE Source(const bf16* x_, const bf16* dy_, const ConvShape& shape, int first_filter, int first_column, int first_pixel, int end_pixel)
        : x(x_), dy(dy_), g(shape), filter(first_filter + my_chunk() * 8), pixel(first_pixel + my_row()), end(end_pixel) {
#pragma unroll
        for (int panel = 0; panel < kPanels; panel++) {
            const int at = first_column + panel * 64 + my_chunk() * 8;
            exists[panel] = at < g.r * g.s * g.c;
            const int tap = at / g.c;
            c[panel] = at - tap * g.c;
            row[panel] = tap / g.s;
            column[panel] = tap - row[panel] * g.s;
        }
    }

    DEVICE void load(char* stage) {
#pragma unroll
        for (int pass = 0; pass < kBlockK / Tile::kRowsPerPass; pass++) {
            const int at = pixel + pass * Tile::kRowsPerPass;
            const bool in_split = at < end;
            const Quotient line = divide_with_rest(at, g.by_q), picture = divide_with_rest(line.quotient, g.by_p);
            const int h = picture.remainder * g.stride - g.pad, v = line.remainder * g.stride - g.pad;
            const int offset = panel_offset(my_row() + pass * Tile::kRowsPerPass, my_chunk());
#pragma unroll
            for (int panel = 0; panel < Tile::kM / 64; panel++) {
                const int f = filter + panel * 64;
                const bool valid = in_split && f < g.k;
                copy_async_16(stage + panel * (kBlockK * kPanelRow) + offset, dy + (valid ? at * g.k + f : 0), valid);
            }
#pragma unroll
            for (int panel = 0; panel < kPanels; panel++) {
                const int hh = h + row[panel], vv = v + column[panel];
                const bool valid = in_split && exists[panel] && inside(hh, g.h) && inside(vv, g.w);
                const int from = valid ? ((picture.quotient * g.h + hh) * g.w + vv) * g.c + c[panel] : 0;
                copy_async_16(stage + Tile::kBytesA + panel * (kBlockK * kPanelRow) + offset, x + from, valid);
            }
        }
        pixel += kBlockK;
    }
};

template <class Tile>
DEVICE void wgrad(const bf16* x, const bf16* dy, float* dw, float* slabs, uint32_t* tickets, const ConvShape& g, int pixels_per_split,
                  int splits, int accumulate) {
    char* shared = dynamic_shared();
    const int columns = g.r * g.s * g.c, pixels = g.n * g.p * g.q;
    const int first_filter = blockIdx.x * Tile::kM, first_column = blockIdx.y * Tile::kN;
    const int first = blockIdx.z * pixels_per_split, end = min(first + pixels_per_split, pixels);
    Source<Tile> source(x, dy, g, first_filter, first_column, first, end);
    Accumulators<Tile> sums;
    accumulate_tile<Tile, Major::kMN, Major::kMN>(sums, source, shared, ceil_div(max(end - first, 0), kBlockK));

    // Calls `each(offset in dw, eight)` for what exists of the tile.
    const auto inside_dw = [&](int row, int column) { return first_filter + row < g.k && first_column + column < columns; };
    const auto offset = [&](int row, int column) { return static_cast<int64_t>(first_filter + row) * columns + first_column + column; };
    if (splits == 1) {
        for_each_eight(sums, shared, [&](int row, int column, Eight eight) {
            if (!inside_dw(row, column)) return;
            float* to = dw + offset(row, column);
            if (accumulate) add_eight(eight, load_eight(to));
            store_eight(to, eight);
        });
        return;
    }
    const int64_t slab = static_cast<int64_t>(g.k) * columns;
    for_each_eight(sums, shared, [&](int row, int column, const Eight& eight) {
        if (inside_dw(row, column)) store_eight(slabs + blockIdx.z * slab + offset(row, column), eight);
    });
    __syncthreads();  // the ticket's word of shared memory held sums
    if (!comes_last(tickets + blockIdx.y * gridDim.x + blockIdx.x, splits, shared)) return;
    constexpr int kEights = Tile::kN / 8;
    const int column = static_cast<int>(threadIdx.x) % kEights * 8;
    for (int row = threadIdx.x / kEights; row < Tile::kM; row += Tile::kThreads / kEights) {
        if (!inside_dw(row, column)) continue;
        float* to = dw + offset(row, column);
        Eight total = accumulate ? load_eight(to) : Eight{};
        for (int split = 0; split < splits; split++) add_eight(total, load_eight_l2(slabs + split * slab + offset(row, column)));
        store_eight(to, total);
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256, 2)
conv_wgrad_m128n128(const bf16* x, const bf16* dy, float* dw, float* slabs, uint32_t* tickets, ConvShape shape, int pixels_per_split,
                    int splits, int accumulate) {
    wgrad<M128N128>(x, dy, dw, slabs, tickets, shape, pixels_per_split, splits, accumulate);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_wgrad_m128n64(const bf16* x, const bf16* dy, float* dw, float* slabs, uint32_t* tickets, ConvShape shape, int pixels_per_split,
                   int splits, int accumulate) {
    wgrad<M128N64>(x, dy, dw, slabs, tickets, shape, pixels_per_split, splits, accumulate);
}
extern "C" __global__ void __launch_bounds__(128, 4)
conv_wgrad_m64n64(const bf16* x, const bf16* dy, float* dw, float* slabs, uint32_t* tickets, ConvShape shape, int pixels_per_split,
                  int splits, int accumulate) {
    wgrad<M64N64>(x, dy, dw, slabs, tickets, shape, pixels_per_split, splits, accumulate);
}
