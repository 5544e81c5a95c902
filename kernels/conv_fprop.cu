// Convolution y = x * w as an implicit matrix product on tensor cores (bf16 in and out, f32 sums).
//
// Product: rows m are output pixels (n, p, q), columns n are filters, k runs over (r, s, c) with c innermost.
// Layout: x [n,h,w,c], w [k,r,s,c], y [n,p,q,k], dense, below 2^31 elements each, aligned to 16 bytes; c and k multiples of 8. Both
//   operands are k-major, their chunks of eight channels are copied as they lie. Padding and everything beyond the last pixel, filter
//   or k is filled with zeros by cp.async itself.
// Owner: a block computes a tile of pixels by filters. A thread copies the same chunk (8 of the 64 k of a stage) of a fixed set of
//   pixels and filters in every turn, and walks along (r, s, c). Blocks do not communicate; bitwise repeatable.
// The stem runs here too, over pictures rearranged 2x2 to 16 channels (a 4x4 filter of stride 1).
// Cost: 2*M*N*K FLOP; reads x about r*s/stride^2 times from L2, and w once for each row of tiles. Bound by tensor cores in 3x3 and deep
//   layers, by memory in the shallow 1x1.
// Status: emulated only; no GPU has run it.
#include "epilogue.cuh"
#include "operands.cuh"
#include "pipeline.cuh"
#include "tiles.cuh"

namespace {

template <class Tile>
struct Source {
    const bf16* x;
    const bf16* w;
    const ConvShape& g;
    int first_filter;
    // Tap (0, 0) of each of this thread's pixels: coordinates, negative in the padding, and the offset in x, which may lie outside.
    int top[Tile::kPassesA], left[Tile::kPassesA];
    int origin[Tile::kPassesA];
    int r = 0, s = 0, c;

    DEVICE Source(const bf16* x_, const bf16* w_, const ConvShape& shape, int first_pixel, int filter)
        : x(x_), w(w_), g(shape), first_filter(filter), c(my_chunk() * 8) {
        const int pixels = g.n * g.p * g.q;
#pragma unroll
        for (int i = 0; i < Tile::kPassesA; i++) {
            const int pixel = first_pixel + my_row() + i * Tile::kRowsPerPass;
            const Quotient line = divide_with_rest(pixel, g.by_q), of_picture = divide_with_rest(line.quotient, g.by_p);
            top[i] = of_picture.remainder * g.stride - g.pad;
            left[i] = line.remainder * g.stride - g.pad;
            origin[i] = ((of_picture.quotient * g.h + top[i]) * g.w + left[i]) * g.c;
            if (pixel >= pixels) top[i] = kNowhere;
        }
        carry();
    }

    // c beyond the last channel is a later tap.
    DEVICE void carry() {
        while (c >= g.c) {
            c -= g.c;
            if (++s == g.s) {
                s = 0;
                r++;
            }
        }
    }

    DEVICE void load(char* stage) {
        const bool exists = r < g.r;
        const int tap = (r * g.w + s) * g.c + c;
        copy_k_major<Tile, Tile::kM>(stage, [&](int pass, bool& valid) {
            valid = exists && inside(top[pass] + r, g.h) && inside(left[pass] + s, g.w);
            return x + (valid ? origin[pass] + tap : 0);
        });
        const int length = g.r * g.s * g.c, k = (r * g.s + s) * g.c + c;
        copy_k_major<Tile, Tile::kN>(stage + Tile::kBytesA, [&](int pass, bool& valid) {
            const int filter = first_filter + my_row() + pass * Tile::kRowsPerPass;
            valid = exists && filter < g.k;
            return w + (valid ? filter * length + k : 0);
        });
        c += kBlockK;
        carry();
    }
};

template <class Tile>
DEVICE void fprop(const bf16* x, const bf16* w, bf16* y, const ConvShape& g) {
    char* shared = dynamic_shared();
    const int first_pixel = blockIdx.x * Tile::kM, first_filter = blockIdx.y * Tile::kN;
    Source<Tile> source(x, w, g, first_pixel, first_filter);
    Accumulators<Tile> sums;
    accumulate_tile<Tile, Major::kK, Major::kK>(sums, source, shared, ceil_div(g.r * g.s * g.c, kBlockK));
    const int pixels = g.n * g.p * g.q;
    for_each_eight(sums, shared, [&](int row, int column, const Eight& eight) {
        const int pixel = first_pixel + row, filter = first_filter + column;
        if (pixel < pixels && filter < g.k) store_eight(y + static_cast<int64_t>(pixel) * g.k + filter, eight);
    });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256, 2) conv_fprop_m128n128(const bf16* x, const bf16* w, bf16* y, ConvShape shape) {
    fprop<M128N128>(x, w, y, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3) conv_fprop_m128n64(const bf16* x, const bf16* w, bf16* y, ConvShape shape) {
    fprop<M128N64>(x, w, y, shape);
}
extern "C" __global__ void __launch_bounds__(128, 4) conv_fprop_m64n64(const bf16* x, const bf16* w, bf16* y, ConvShape shape) {
    fprop<M64N64>(x, w, y, shape);
}
