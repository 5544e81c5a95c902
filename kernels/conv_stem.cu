// The stem, a 7x7 convolution of stride 2 and padding 3 over three channels, made fit for tensor cores by space-to-depth: pictures become
// [n, h/2 + 3, w/2 + 3, 16], the filter 4x4 of stride 1 without padding, and conv_fprop.cu and conv_wgrad.cu do the rest.
//
// Output p sees rows 2p-3 .. 2p+3. Counted from row -4 these are 1 .. 7 after 2p: sub-rows of blocks p .. p+3 of two rows each. So block b
// holds rows 2b-4 and 2b-3, tap r of the filter is sub-row (r+1)%2 of block (r+1)/2, and sub-row 0 of block 0 is a tap that is zero.
// Channel (2*sub_row + sub_column)*3 + c of a block is colour c; the last four of sixteen channels are zero.
//
// Layout: x [n,h,w,3] with even h and w, arranged [n,h/2+3,w/2+3,16] aligned to 16 bytes; filters [k,7,7,3] and [k,4,4,16].
// Owner: a thread writes the sixteen channels of one block of pixels, or one element of a filter. Bitwise repeatable.
// Cost: x is read once and 16/12 of it written, bound by memory; filters are small.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "types.cuh"

namespace {

constexpr int kColours = 3, kTaps = 7, kBlockTaps = 4, kBlockChannels = 16, kShift = 4, kExtra = 3;

template <class T>
DEVICE void arrange(const T* x, bf16* arranged, int n, int h, int w) {
    const int rows = h / 2 + kExtra, columns = w / 2 + kExtra, item = static_cast<int>(global_thread());
    if (item >= n * rows * columns) return;
    const int line = item / columns, column = item - line * columns, picture = line / rows, row = line - picture * rows;
    float value[kBlockChannels] = {};
#pragma unroll
    for (int sub = 0; sub < 4; sub++) {
        const int y = 2 * row - kShift + sub / 2, v = 2 * column - kShift + sub % 2;
        if (!inside(y, h) || !inside(v, w)) continue;
        const T* pixel = x + (static_cast<int64_t>(picture * h + y) * w + v) * kColours;
#pragma unroll
        for (int c = 0; c < kColours; c++) value[sub * kColours + c] = to_float(pixel[c]);
    }
    bf16* to = arranged + static_cast<int64_t>(item) * kBlockChannels;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        Eight e;
#pragma unroll
        for (int i = 0; i < 8; i++) e.v[i] = value[half * 8 + i];
        store_eight(to + half * 8, e);
    }
}

// Where element (r, s, c) of a 7x7x3 filter lies in the 4x4x16 one.
DEVICE int arranged_index(int r, int s, int c) {
    return ((r + 1) / 2 * kBlockTaps + (s + 1) / 2) * kBlockChannels + ((r + 1) % 2 * 2 + (s + 1) % 2) * kColours + c;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) stem_arrange_f32(const float* x, bf16* arranged, int n, int h, int w) {
    arrange(x, arranged, n, h, w);
}
extern "C" __global__ void __launch_bounds__(256) stem_arrange_bf16(const bf16* x, bf16* arranged, int n, int h, int w) {
    arrange(x, arranged, n, h, w);
}

// One thread an element of the arranged filters: those that no tap gives are zero.
extern "C" __global__ void __launch_bounds__(256) stem_arrange_filters(const bf16* w, bf16* arranged, int k) {
    const int item = static_cast<int>(global_thread()), each = kBlockTaps * kBlockTaps * kBlockChannels;
    if (item >= k * each) return;
    const int filter = item / each, rest = item - filter * each, channel = rest % kBlockChannels, tap = rest / kBlockChannels;
    const int sub = channel / kColours, c = channel - sub * kColours;
    const int r = tap / kBlockTaps * 2 + sub / 2 - 1, s = tap % kBlockTaps * 2 + sub % 2 - 1;
    const bool exists = sub < 4 && r >= 0 && s >= 0;
    arranged[item] = exists ? w[((filter * kTaps + r) * kTaps + s) * kColours + c] : bf16{0};
}

// The gradient back to [k,7,7,3].
extern "C" __global__ void __launch_bounds__(256) stem_gather_gradient(const float* arranged, float* dw, int k, int accumulate) {
    const int item = static_cast<int>(global_thread()), each = kTaps * kTaps * kColours;
    if (item >= k * each) return;
    const int filter = item / each, rest = item - filter * each, tap = rest / kColours;
    const float value = arranged[filter * kBlockTaps * kBlockTaps * kBlockChannels + arranged_index(tap / kTaps, tap % kTaps, rest % kColours)];
    dw[item] = accumulate ? dw[item] + value : value;
}
