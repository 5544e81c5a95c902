// From stored pictures to the network's input: crop, antialiased bilinear resize, mirror, normalise.
//
// The integers are those of src/resample (Pillow's): scale = crop / size, support = max(scale, 1), the centre of output pixel i at
// (i + 0.5) * scale, taps from the window cut to the crop, heights of the triangle at the taps' distances divided by their sum, in f64,
// each operation rounded as on the CPU; weights of 22 bits behind the point; sums in i32 from one half on, rounded to u8 after either
// direction. Rows are filtered first, but columns where the height shrinks by more than twice what the width does. A crop that keeps its
// size has weights of one. Then (value / 255 - mean) / std, each operation rounded to f32.
//
// Layout: pixels holds RGB u8 pictures, HWC without padding, each where its Picture says; out [n, size, size, 3]. Shared memory: for the
// tile's 32 columns and 8 rows the first tap, how many, and up to 16 weights, word i of all coordinates together.
// Owner: a block has a tile of 32 x 8 pixels of one picture, a warp a row of it, a thread one pixel. Bitwise repeatable.
// Cost: taps across times taps down, 3 integer multiplications and byte loads from L1 each (9 to 16 for crops of training), and 40
//   threads' f64 weights a block. A reduction by more than 7 has more taps than are kept: every thread then makes its weights itself,
//   again and again. More multiplications than a separable filter needs, but no memory between the directions and no limit on the crop.
// Status: emulated only; no GPU has run it.
#include "f64.cuh"
#include "index.cuh"
#include "ptx.cuh"
#include "types.cuh"

namespace {

// Pixels of a tile; and weights of a coordinate that are kept (src/cuda/augment.rs takes shared memory for them).
constexpr int kColumns = 32, kRows = 8, kKept = 16, kCoordinates = kColumns + kRows;
constexpr int kBits = 22, kHalf = 1 << (kBits - 1);

// The taps of one output coordinate.
struct Taps {
    int first, count;
    f64 centre, inverse, total;

    Taps() = default;
    DEVICE Taps(int at, int from, int to) {
        const f64 scale = f64(from) / f64(to), support = scale > 1.0 ? scale : f64(1.0);
        inverse = f64(1.0) / support;
        centre = (f64(at) + 0.5) * scale;
        const f64 begin = centre - support + 0.5, end = centre + support + 0.5;
        first = min(begin > 0.0 ? static_cast<int>(begin.v) : 0, from - 1);
        count = max(min(static_cast<int>(end.v), from), first + 1) - first;
        f64 sum = 0.0;
        for (int i = 0; i < count; i++) sum = sum + height(i);
        total = sum > 0.0 ? sum : f64(1.0);
    }
    DEVICE f64 height(int i) const {
        const f64 distance = (f64(first + i) - centre + 0.5) * inverse;
        const f64 height = f64(1.0) - (distance < 0.0 ? f64(0.0) - distance : distance);
        return height > 0.0 ? height : f64(0.0);
    }
    DEVICE int weight(int i) const { return static_cast<int>((height(i) / total * static_cast<double>(1 << kBits) + 0.5).v); }
};

// The same from what the block has kept, or made anew where that is not all.
struct Kept {
    const SharedArray<int> table;
    int coordinate, first, count;
    Taps taps;

    DEVICE Kept(SharedArray<int> table, int coordinate, int at, int from, int to)
        : table(table), coordinate(coordinate), first(table.get(coordinate)), count(table.get(kCoordinates + coordinate)) {
        if (count > kKept) taps = Taps(at, from, to);
    }
    DEVICE int weight(int i) const { return count > kKept ? taps.weight(i) : table.get((2 + i) * kCoordinates + coordinate); }
};

DEVICE int rounded(int sum) { return min(max(sum >> kBits, 0), 255); }

template <class T>
DEVICE void augment(const uint8_t* pixels, const Picture* pictures, T* out, int count, int size, float mean_r, float mean_g, float mean_b,
                    float std_r, float std_g, float std_b) {
    const int across_tiles = ceil_div(size, kColumns), tiles = across_tiles * ceil_div(size, kRows);
    const int n = static_cast<int>(blockIdx.x) / tiles, tile = static_cast<int>(blockIdx.x) - n * tiles;
    if (n >= count) return;
    const int tile_row = tile / across_tiles, x0 = (tile - tile_row * across_tiles) * kColumns, y0 = tile_row * kRows;
    const Picture p = pictures[n];
    const SharedArray<int> table{dynamic_shared()};
    const int thread = static_cast<int>(threadIdx.x);
    const auto column_at = [&](int x) { return p.left + (p.flip ? size - 1 - x : x); };
    if (thread < kCoordinates) {
        const bool is_column = thread < kColumns;
        const int at = is_column ? x0 + thread : y0 + thread - kColumns;
        if (at < size) {
            const Taps taps(is_column ? column_at(at) : p.top + at, is_column ? p.crop_width : p.crop_height,
                            is_column ? p.to_width : p.to_height);
            table.set(thread, taps.first);
            table.set(kCoordinates + thread, taps.count);
            for (int i = 0; i < min(taps.count, kKept); i++) table.set((2 + i) * kCoordinates + thread, taps.weight(i));
        }
    }
    __syncthreads();
    const int x = x0 + thread % kColumns, y = y0 + thread / kColumns;
    if (x >= size || y >= size) return;
    const Kept across(table, thread % kColumns, column_at(x), p.crop_width, p.to_width);
    const Kept down(table, kColumns + thread / kColumns, p.top + y, p.crop_height, p.to_height);
    const int64_t row = p.crop_y + down.first, column = p.crop_x + across.first;
    const uint8_t* from = pixels + p.offset + (row * p.width + column) * 3;
    const bool columns_first = p.to_height < p.crop_height && p.crop_height - p.to_height > 2 * (p.crop_width - p.to_width);
    const Kept &inner = columns_first ? down : across, &outer = columns_first ? across : down;
    const int64_t line = static_cast<int64_t>(p.width) * 3, inner_step = columns_first ? line : 3, outer_step = columns_first ? 3 : line;
    int sum[3] = {kHalf, kHalf, kHalf};
    for (int j = 0; j < outer.count; j++) {
        int filtered[3] = {kHalf, kHalf, kHalf};
        for (int i = 0; i < inner.count; i++) {
            const int weight = inner.weight(i);
#pragma unroll
            for (int channel = 0; channel < 3; channel++) filtered[channel] += weight * from[j * outer_step + i * inner_step + channel];
        }
        const int weight = outer.weight(j);
#pragma unroll
        for (int channel = 0; channel < 3; channel++) sum[channel] += weight * rounded(filtered[channel]);
    }
    const float mean[3] = {mean_r, mean_g, mean_b}, std[3] = {std_r, std_g, std_b};
    const int64_t item = (static_cast<int64_t>(n) * size + y) * size + x;
#pragma unroll
    for (int channel = 0; channel < 3; channel++) {
        const float value = __fdiv_rn(static_cast<float>(rounded(sum[channel])), 255.f);
        out[item * 3 + channel] = from_float<T>(__fdiv_rn(__fsub_rn(value, mean[channel]), std[channel]));
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
augment_f32(const uint8_t* pixels, const Picture* pictures, float* out, int count, int size, float mean_r, float mean_g, float mean_b,
            float std_r, float std_g, float std_b) {
    augment(pixels, pictures, out, count, size, mean_r, mean_g, mean_b, std_r, std_g, std_b);
}
extern "C" __global__ void __launch_bounds__(256)
augment_bf16(const uint8_t* pixels, const Picture* pictures, bf16* out, int count, int size, float mean_r, float mean_g, float mean_b,
             float std_r, float std_g, float std_b) {
    augment(pixels, pictures, out, count, size, mean_r, mean_g, mean_b, std_r, std_g, std_b);
}
