#include "tensor_core.h"

namespace emulator {

namespace {

typedef float Row8 __attribute__((vector_size(32)));

}  // namespace

// The one place where the emulator's time goes, so it has a version for wider vectors; neither contracts, so both give the same bits.
__attribute__((target_clones("avx2", "default"))) void multiply_rows(float (&sum)[16][8], const float (&left)[16][16],
                                                                     const float (&right)[16][8]) {
    Row8 factor[16];
    memcpy(factor, right, sizeof factor);
    for (unsigned row = 0; row < 16; row++) {
        Row8 total;
        memcpy(&total, sum[row], sizeof total);
        for (unsigned k = 0; k < 16; k++) total += left[row][k] * factor[k];
        memcpy(sum[row], &total, sizeof total);
    }
}

}  // namespace emulator
