// The structs that kernels take by value. build.rs writes their Rust twins from this file; src/cuda/arguments.rs fills them.
// Only plain fields of fixed size, each aligned to its own size: then C++ and Rust lay them out alike.
#pragma once
#include <stdint.h>

#define ARGUMENT_STRUCT(name) struct name

// Division by a number known on the host; see index.cuh.
ARGUMENT_STRUCT(FastDiv) {
    uint32_t divisor, multiplier, shift;
};

// A convolution. x is [n, h, w, c], filters [k, r, s, c], y [n, p, q, k]; the same stride and padding both ways.
ARGUMENT_STRUCT(ConvShape) {
    int32_t n, h, w, c, k, r, s, stride, pad, p, q;
    FastDiv by_p, by_q;
};

// y[n, k] = x[n, c] * w[k, c]^T.
ARGUMENT_STRUCT(LinearShape) {
    int32_t n, c, k;
};

// Square windows over [n, h, w, c], giving [n, p, q, c].
ARGUMENT_STRUCT(PoolShape) {
    int32_t n, h, w, c, window, stride, pad, p, q;
};

// Batch norm over rows of channels; a tile is tile_rows rows.
ARGUMENT_STRUCT(NormShape) {
    int32_t rows, channels, tile_rows, tiles;
    double eps, momentum;
    int32_t relu, pad;
};

// What changes from update to update, in device memory: updates gone through and of these left out, what gradients count as multiplied
// with, and whether they are finite (0: leave this update out).
ARGUMENT_STRUCT(UpdateControl) {
    uint64_t step, skipped;
    double scale;
    uint32_t finite, pad;
};

// One picture of the augmentation: where it lies in the buffer, the crop, and whether to mirror it.
ARGUMENT_STRUCT(Picture) {
    uint64_t offset;
    int32_t width, height, crop_x, crop_y, crop_width, crop_height, flip, pad;
};
