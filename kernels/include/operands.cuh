// Which thread copies which chunk of an operand's panels, and plain matrices as operands.
//
// Thread t always copies chunk t % 8, of rows t / 8, t / 8 + kRowsPerPass, ... Of a k-major operand the rows are its m (or n) index and
// the chunk is eight of the 64 k; of an mn-major one the rows are the 64 k of each panel and the chunk is eight of its 64 m (or n).
#pragma once
#include "index.cuh"
#include "tile.cuh"

DEVICE int my_chunk() { return static_cast<int>(threadIdx.x) % kChunksPerRow; }
DEVICE int my_row() { return static_cast<int>(threadIdx.x) / kChunksPerRow; }

// Copies this thread's part of a k-major operand of kRows rows: `address(row, &valid)` is where the eight k of the thread's chunk lie.
template <class Tile, int kRows, class Address>
DEVICE void copy_k_major(char* panel, Address address) {
#pragma unroll
    for (int pass = 0; pass < kRows / Tile::kRowsPerPass; pass++) {
        bool valid;
        const bf16* from = address(pass, valid);
        copy_async_16(panel + panel_offset(my_row() + pass * Tile::kRowsPerPass, my_chunk()), from, valid);
    }
}

// Copies this thread's part of an mn-major operand of kColumns columns: `address(panel, pass, &valid)` is where eight columns of row
// my_row() + pass * kRowsPerPass of that panel lie.
template <class Tile, int kColumns, class Address>
DEVICE void copy_mn_major(char* panels, Address address) {
#pragma unroll
    for (int pass = 0; pass < kBlockK / Tile::kRowsPerPass; pass++) {
#pragma unroll
        for (int panel = 0; panel < kColumns / 64; panel++) {
            bool valid;
            const bf16* from = address(panel, pass, valid);
            char* to = panels + panel * (kBlockK * kPanelRow);
            copy_async_16(to + panel_offset(my_row() + pass * Tile::kRowsPerPass, my_chunk()), from, valid);
        }
    }
}

// A row that no tap brings into a picture. Extents are below 2^14 (checked on the host).
constexpr int kNowhere = -(1 << 14);

// The coordinates of a window's first tap in a picture, negative in the padding, in one register.
struct Corner {
    int packed;
    DEVICE void set(int row, int column) { packed = row * 65536 | (column & 0xFFFF); }
    DEVICE int row() const { return packed >> 16; }
    DEVICE int column() const { return static_cast<int16_t>(packed); }
};

// A dense matrix in memory, `stride` elements a row (a multiple of 8), as an operand from its row or column `first` on.
struct Matrix {
    const bf16* data;
    int stride, first, limit;  // m (or n) below `limit` exist
    int depth;                 // k below `depth` exist

    // Rows are the m (or n) index.
    template <class Tile, int kRows>
    DEVICE void copy_rows(char* panel, int block) const {
        const int k = block * kBlockK + my_chunk() * 8;
        copy_k_major<Tile, kRows>(panel, [&](int pass, bool& valid) {
            const int row = first + my_row() + pass * Tile::kRowsPerPass;
            valid = row < limit && k < depth;
            return data + (valid ? static_cast<int64_t>(row) * stride + k : 0);
        });
    }
    // Rows are k.
    template <class Tile, int kColumns>
    DEVICE void copy_columns(char* panels, int block) const {
        copy_mn_major<Tile, kColumns>(panels, [&](int panel, int pass, bool& valid) {
            const int k = block * kBlockK + my_row() + pass * Tile::kRowsPerPass, column = first + panel * 64 + my_chunk() * 8;
            valid = k < depth && column < limit;
            return data + (valid ? static_cast<int64_t>(k) * stride + column : 0);
        });
    }
};
