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
#include "index.cuh"
#include "pipeline.cuh"
#include "tiles.cuh"

namespace {

template <class Tile>
struct Source {
    const bf16* x;
    const bf16* w;
    ConvShape shape;  // of c, h, w, r, s
    int chunk, row;
    // Of each of this thread's pixels: the offset of its picture, and the coordinates of tap (0, 0), which padding makes negative.
    int picture[Tile::kPassesA];
    int top[Tile::kPassesA], left[Tile::kPassesA];
    int filter;  // the first of this thread's filters
    int r = 0, s = 0, c;

    DEVICE Source(const bf16* x_, const bf16* w_, const ConvShape& g, int first_pixel, int first_filter)
        : x(x_), w(w_), shape(g), chunk(threadIdx.x % kChunksPerRow), row(threadIdx.x / kChunksPerRow), filter(first_filter + row), c(chunk * 8) {
        const int pixels = g.n * g.p * g.q;
#pragma unroll
        for (int i = 0; i < Tile::kPassesA; i++) {
            const int pixel = first_pixel + row + i * Tile::kRowsPerPass;
            const Quotient line = divide_with_rest(pixel, g.by_q), picture_line = divide_with_rest(line.quotient, g.by_p);
            picture[i] = picture_line.quotient * g.h * g.w * g.c;
            // Far outside every picture: pixels beyond the last are padding.
            top[i] = pixel < pixels ? picture_line.remainder * g.stride - g.pad : -(1 << 20);
            left[i] = line.remainder * g.stride - g.pad;
        }
        normalise();
    }

    // c beyond the last channel is a later tap.
    DEVICE void normalise() {
        while (c >= shape.c) {
            c -= shape.c;
            if (++s == shape.s) {
                s = 0;
                r++;
            }
        }
    }

    DEVICE void load(char* stage) {
        const bool any = r < shape.r;
#pragma unroll
        for (int i = 0; i < Tile::kPassesA; i++) {
            const int h = top[i] + r, v = left[i] + s;
            const bool valid = any && inside(h, shape.h) && inside(v, shape.w);
            const int offset = valid ? picture[i] + (h * shape.w + v) * shape.c + c : 0;
            copy_async_16(stage + panel_offset(row + i * Tile::kRowsPerPass, chunk), x + offset, valid);
        }
        const int length = shape.r * shape.s * shape.c, k = (r * shape.s + s) * shape.c + c;
#pragma unroll
        for (int i = 0; i < Tile::kPassesB; i++) {
            const int f = filter + i * Tile::kRowsPerPass;
            const bool valid = any && f < shape.k;
            copy_async_16(stage + Tile::kBytesA + panel_offset(row + i * Tile::kRowsPerPass, chunk), w + (valid ? f * length + k : 0), valid);
        }
        c += kBlockK;
        normalise();
    }
};

template <class Tile>
DEVICE void fprop(const bf16* x, const bf16* w, bf16* y, const ConvShape& g) {
    char* shared = dynamic_shared();
    const int first_pixel = blockIdx.x * Tile::kM, first_filter = blockIdx.y * Tile::kN;
    Source<Tile> source(x, w, g, first_pixel, first_filter);
    Accumulators<Tile> sums;
    accumulate<Tile, Major::kK, Major::kK>(sums, source, shared, ceil_div(g.r * g.s * g.c, kBlockK));
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
