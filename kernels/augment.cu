// From stored pictures to the network's input: crop, antialiased bilinear resize, mirror, normalise.
//
// The filter is Pillow's and torchvision's: scale = crop / size, support = max(scale, 1), the centre of output pixel i at
// (i + 0.5) * scale, taps from the window truncated to the crop, weights of the triangle at the taps' centres divided by their sum. Rows
// are filtered first, then columns, in f32 without rounding in between. A crop of the output's size is copied exactly.
//
// Layout: pixels holds RGB u8 pictures, HWC without padding, each where its Picture says; out [n, size, size, 3].
// Owner: a thread computes one pixel of the output from its window. No communication, bitwise repeatable.
// Cost: about (2 * support + 1)^2 * 3 multiply-adds and as many byte loads, from L1, a pixel: 4 M a picture at 500 to 224, and more than
//   a separable filter needs, but no shared memory and no limit on the crop. Bound by instruction issue.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "types.cuh"

namespace {

// The taps of one output coordinate: weights 1 - |offset + i| / support for i = 0 .. count - 1, to be divided by `total`.
struct Taps {
    int first, count;
    float offset, inverse_support, total;

    // In f64 where coordinates are large; the distances to the taps are small numbers.
    DEVICE Taps(int at, int from, int to) {
        const double scale = static_cast<double>(from) / to, support = scale > 1.0 ? scale : 1.0, centre = (at + 0.5) * scale;
        const double begin = centre - support + 0.5, end = centre + support + 0.5;
        first = min(begin > 0.0 ? static_cast<int>(begin) : 0, from - 1);
        count = max(min(static_cast<int>(end), from), first + 1) - first;
        offset = static_cast<float>(first - centre + 0.5);
        inverse_support = static_cast<float>(1.0 / support);
        total = 0.f;
        for (int i = 0; i < count; i++) total += weight(i);
    }
    DEVICE float weight(int i) const {
        const float w = 1.f - fabsf(offset + static_cast<float>(i)) * inverse_support;
        return w > 0.f ? w : 0.f;
    }
};

template <class T>
DEVICE void augment(const uint8_t* pixels, const Picture* pictures, T* out, int count, int size, float mean_r, float mean_g, float mean_b,
                    float std_r, float std_g, float std_b) {
    const int item = static_cast<int>(global_thread());
    if (item >= count * size * size) return;
    const int line = item / size, x = item - line * size, n = line / size, y = line - n * size;
    const Picture p = pictures[n];
    const Taps across(p.left + (p.flip ? size - 1 - x : x), p.crop_width, p.to_width), down(p.top + y, p.crop_height, p.to_height);
    float sum[3] = {};
    for (int j = 0; j < down.count; j++) {
        const int row = p.crop_y + down.first + j, column = p.crop_x + across.first;
        const uint8_t* from = pixels + p.offset + (static_cast<int64_t>(row) * p.width + column) * 3;
        float filtered[3] = {};
        for (int i = 0; i < across.count; i++) {
            const float weight = across.weight(i);
#pragma unroll
            for (int channel = 0; channel < 3; channel++) filtered[channel] += weight * static_cast<float>(from[3 * i + channel]);
        }
        const float weight = down.weight(j);
#pragma unroll
        for (int channel = 0; channel < 3; channel++) sum[channel] += weight * filtered[channel];
    }
    const float total = across.total * down.total;
    const float mean[3] = {mean_r, mean_g, mean_b}, std[3] = {std_r, std_g, std_b};
#pragma unroll
    for (int channel = 0; channel < 3; channel++) {
        const float value = __fdiv_rn(__fdiv_rn(sum[channel], total), 255.f);
        out[static_cast<int64_t>(item) * 3 + channel] = from_float<T>(__fdiv_rn(__fsub_rn(value, mean[channel]), std[channel]));
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
