// The gradient of a convolution by its input, dx = dy * w mirrored, on tensor cores (bf16, f32 sums), for any stride without a product
// by zero.
//
// By parity: pixels whose coordinates leave the rests (a, b) by the stride form a class. Only taps r = r0 + stride*t with
// r0 = (a + pad) % stride reach such a pixel h = a + stride*i, from the output row p = i + (a + pad - r0)/stride - t. So every class is
// a convolution of stride 1 over dy with its own few taps: for 3x3 of stride 2 one, two, two and four of the nine.
//
// Product: rows m are a class's pixels (n, i, j), columns n are channels, k runs over (taps, filters) with filters innermost, each tap's
//   filters padded to a multiple of 64 by zeros.
// Layout: dy [n,p,q,k], w [k,r,s,c], dx [n,h,w,c], dense, below 2^31 elements each, aligned to 16 bytes; c and k multiples of 8. dy is
//   k-major; w is mn-major as it lies (channels contiguous), so no transposed copy of the filters is needed.
// Owner: a block computes a tile of one class (blockIdx.z) by channels. Every pixel is in one class, so every element of dx is written
//   once, by one block; bitwise repeatable. With `accumulate` the sum is added to dx in f32 and rounded once.
// Cost: as fprop, 2*n*p*q*r*s*c*k FLOP and no more for strides above 1.
// Status: emulated only; no GPU has run it.
#include "epilogue.cuh"
#include "operands.cuh"
#include "pipeline.cuh"
#include "tiles.cuh"

namespace {

// One axis of a class: its pixels, its taps and where they look.
struct Axis {
    int rest, count;        // pixels rest + stride * i, i < count
    int first_tap, taps;    // taps first_tap + stride * t, t < taps
    int shift;              // output i + shift - t
    DEVICE Axis(int rest_, int size, int filter, int stride, int pad)
        : rest(rest_),
          count(ceil_div(size - rest_, stride)),
          first_tap((rest_ + pad) % stride),
          taps(first_tap < filter ? ceil_div(filter - first_tap, stride) : 0),
          shift((rest_ + pad - first_tap) / stride) {}
};

template <class Tile>
struct Source {
    const bf16* dy;
    const bf16* w;
    const ConvShape& g;
    Axis down, across;
    int first_channel;
    // What tap (0, 0) of each of this thread's pixels sees: coordinates, and the offset in dy, which may lie outside.
    Corner corner[Tile::kPassesA];
    int origin[Tile::kPassesA];
    int t = 0, u = 0, filters = 0;  // taps down and across, first filter of the block

    DEVICE Source(const bf16* dy_, const bf16* w_, const ConvShape& shape, Axis down_, Axis across_, int first_pixel, int channel)
        : dy(dy_), w(w_), g(shape), down(down_), across(across_), first_channel(channel) {
        const int pixels = g.n * down.count * across.count;
#pragma unroll
        for (int i = 0; i < Tile::kPassesA; i++) {
            const int pixel = first_pixel + my_row() + i * Tile::kRowsPerPass;
            const int line = pixel / across.count, n = line / down.count;
            const int top = line - n * down.count + down.shift, left = pixel - line * across.count + across.shift;
            origin[i] = ((n * g.p + top) * g.q + left) * g.k;
            corner[i].set(pixel < pixels ? top : kNowhere, left);
        }
    }

    DEVICE void load(char* stage) {
        const int filter = filters + my_chunk() * 8;
        const int tap = filter - (t * g.q + u) * g.k;
        copy_k_major<Tile, Tile::kM>(stage, [&](int pass, bool& valid) {
            valid = inside(corner[pass].row() - t, g.p) && inside(corner[pass].column() - u, g.q) && filter < g.k;
            return dy + (valid ? origin[pass] + tap : 0);
        });
        const int r = down.first_tap + g.stride * t, s = across.first_tap + g.stride * u;
        copy_mn_major<Tile, Tile::kN>(stage + Tile::kBytesA, [&](int panel, int pass, bool& valid) {
            const int f = filters + my_row() + pass * Tile::kRowsPerPass, c = first_channel + panel * 64 + my_chunk() * 8;
            valid = f < g.k && c < g.c;
            return w + (valid ? ((f * g.r + r) * g.s + s) * g.c + c : 0);
        });
        filters += kBlockK;
        if (filters >= g.k) {
            filters = 0;
            if (++u == across.taps) {
                u = 0;
                t++;
            }
        }
    }
};

template <class Tile>
DEVICE void dgrad(const bf16* dy, const bf16* w, bf16* dx, const ConvShape& g, int accumulate) {
    char* shared = dynamic_shared();
    const int parity = blockIdx.z;
    const Axis down(parity / g.stride, g.h, g.r, g.stride, g.pad), across(parity % g.stride, g.w, g.s, g.stride, g.pad);
    const int first_pixel = blockIdx.x * Tile::kM, first_channel = blockIdx.y * Tile::kN;
    const int pixels = g.n * down.count * across.count;
    if (first_pixel >= pixels) return;  // classes differ in size; the grid fits the largest
    Source<Tile> source(dy, w, g, down, across, first_pixel, first_channel);
    Accumulators<Tile> sums;
    accumulate_tile<Tile, Major::kK, Major::kMN>(sums, source, shared, down.taps * across.taps * ceil_div(g.k, kBlockK));
    for_each_eight(sums, shared, [&](int row, int column, Eight eight) {
        const int pixel = first_pixel + row, channel = first_channel + column;
        if (pixel >= pixels || channel >= g.c) return;
        const int line = pixel / across.count, j = pixel - line * across.count, n = line / down.count, i = line - n * down.count;
        const int h = down.rest + g.stride * i, v = across.rest + g.stride * j;
        bf16* to = dx + static_cast<int64_t>((n * g.h + h) * g.w + v) * g.c + channel;
        if (accumulate) add_eight(eight, load_eight(to));
        store_eight(to, eight);
    });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256, 2)
conv_dgrad_m128n128(const bf16* dy, const bf16* w, bf16* dx, ConvShape shape, int accumulate) {
    dgrad<M128N128>(dy, w, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_dgrad_m128n64(const bf16* dy, const bf16* w, bf16* dx, ConvShape shape, int accumulate) {
    dgrad<M128N64>(dy, w, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(128, 4)
conv_dgrad_m64n64(const bf16* dy, const bf16* w, bf16* dx, ConvShape shape, int accumulate) {
    dgrad<M64N64>(dy, w, dx, shape, accumulate);
}
