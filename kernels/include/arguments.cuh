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

// What changes from update to update, in device memory. step: updates gone through; skipped: of these, the ones left out. grad_norm: of
// all gradients, before clipping; scale: what they count as multiplied with. finite: whether losses and gradients are (0: leave this
// update out); loss_finite: whether the losses included so far are; overflowed: whether the update made a number that is not finite.
// loss, rows: of the batches so far, the sum and how many; mean_loss: of the last update.
ARGUMENT_STRUCT(UpdateControl) {
    uint64_t step, skipped;
    double grad_norm, scale, loss, mean_loss;
    uint64_t rows;
    uint32_t finite, loss_finite, overflowed, pad;
};

// A row of the table of updates.
ARGUMENT_STRUCT(UpdateRates) {
    double lr, momentum, average_decay;
};

// One parameter tensor: where it ends in the arena, its decay, and its pieces among all (see UpdatePiece).
ARGUMENT_STRUCT(UpdateGroup) {
    uint64_t end;
    double weight_decay;
    int32_t first_piece, pieces;
};

// A part of a tensor whose norm one block takes: `count` parameters from `begin` on, of tensor `group`.
ARGUMENT_STRUCT(UpdatePiece) {
    uint64_t begin;
    int32_t count, group;
};

// Parameters, rows of the table, tensors, and whether every group of four parameters is one aligned access.
ARGUMENT_STRUCT(UpdateShape) {
    uint64_t len, num_rates;
    int32_t num_groups, vector;
};

// One picture of the augmentation: where it lies in the buffer, the rectangle cut out of it, the size that is resized to, where the
// window of that begins, and whether to mirror the window.
ARGUMENT_STRUCT(Picture) {
    uint64_t offset;
    int32_t width, height, crop_x, crop_y, crop_width, crop_height, to_width, to_height, left, top, flip, pad;
};
