// ldmatrix and mma.sync, as the PTX manual lays their fragments out over a warp.
#pragma once
#include <cstring>

#include "collective.h"

namespace emulator {

// Passes over the 32 banks beyond the first that eight accesses of 16 bytes need.
inline unsigned extra_passes(const void* const (&rows)[8]) {
    unsigned used[8] = {}, worst = 1;
    for (const void* row : rows) {
        const unsigned n = ++used[reinterpret_cast<uintptr_t>(row) >> 4 & 7];
        worst = n > worst ? n : worst;
    }
    return worst - 1;
}

// Four 8x8 matrices of 16-bit elements. Lane i gives the address of row i%8 of matrix i/8; afterwards lane i holds, of each matrix,
// row i/4, columns 2*(i%4) and the next (of the transposed matrix if `transpose`).
inline void ldmatrix_x4(uint32_t (&fragment)[4], const void* row, bool transpose) {
    struct Argument {
        const void* row;
        uint32_t* fragment;
    } mine{row, fragment};
    block().shadow.read(row, 16, "ldmatrix");
    collective(transpose ? "ldmatrix.x4.trans" : "ldmatrix.x4", ~0u, mine, [transpose](Argument** all) {
        Counters& counters = block().counters;
        counters.ldmatrix++;
        for (unsigned matrix = 0; matrix < 4; matrix++) {
            const void* rows[8];
            for (unsigned i = 0; i < 8; i++) rows[i] = all[matrix * 8 + i]->row;
            counters.shared_conflicts += extra_passes(rows);
            for (unsigned lane = 0; lane < kWarpSize; lane++) {
                const unsigned major = lane / 4, minor = lane % 4 * 2;
                uint16_t pair[2];
                for (unsigned e = 0; e < 2; e++) {
                    const unsigned r = transpose ? minor + e : major, c = transpose ? major : minor + e;
                    memcpy(&pair[e], static_cast<const char*>(rows[r]) + 2 * c, 2);
                }
                all[lane]->fragment[matrix] = pair[0] | static_cast<uint32_t>(pair[1]) << 16;
            }
        }
    });
}

inline float bf16_low(uint32_t pair) {
    const uint32_t bits = pair << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline float bf16_high(uint32_t pair) {
    const uint32_t bits = pair & 0xFFFF0000u;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// sum(16x8) += left(16x16) * right(16x8). Sums run over k in order and round each step to f32; a tensor core keeps a few bits more and
// truncates.
void multiply_rows(float (&sum)[16][8], const float (&left)[16][16], const float (&right)[16][8]);

// D(16x8, f32) += A(16x16, bf16, row-major) * B(16x8, bf16, column-major).
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    struct Argument {
        float* d;
        const uint32_t* a;
        uint32_t b0, b1;
    } mine{d, a, b0, b1};
    collective("mma.m16n8k16", ~0u, mine, [](Argument** all) {
        block().counters.mma++;
        float left[16][16], right[16][8], sum[16][8];
        for (unsigned lane = 0; lane < kWarpSize; lane++) {
            const unsigned group = lane / 4, pair = lane % 4 * 2;
            const Argument& one = *all[lane];
            for (unsigned i = 0; i < 4; i++) {
                const unsigned row = group + i % 2 * 8, column = pair + i / 2 * 8;
                left[row][column] = bf16_low(one.a[i]);
                left[row][column + 1] = bf16_high(one.a[i]);
                sum[group + i / 2 * 8][pair + i % 2] = one.d[i];
            }
            right[pair][group] = bf16_low(one.b0);
            right[pair + 1][group] = bf16_high(one.b0);
            right[pair + 8][group] = bf16_low(one.b1);
            right[pair + 9][group] = bf16_high(one.b1);
        }
        multiply_rows(sum, left, right);
        for (unsigned lane = 0; lane < kWarpSize; lane++) {
            const unsigned group = lane / 4, pair = lane % 4 * 2;
            for (unsigned i = 0; i < 4; i++) all[lane]->d[i] = sum[group + i / 2 * 8][pair + i % 2];
        }
    });
}

}  // namespace emulator
