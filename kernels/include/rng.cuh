// Counter-based random numbers, bit for bit those of src/rng.rs: Philox4x32-10 (Salmon et al., SC 2011).
#pragma once
#include "types.cuh"

struct PhiloxBlock {
    uint32_t word[4];
};

DEVICE PhiloxBlock philox(uint32_t key0, uint32_t key1, PhiloxBlock counter) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint32_t low0 = 0xD2511F53u * counter.word[0], high0 = __umulhi(0xD2511F53u, counter.word[0]);
        const uint32_t low1 = 0xCD9E8D57u * counter.word[2], high1 = __umulhi(0xCD9E8D57u, counter.word[2]);
        counter = {{high1 ^ counter.word[1] ^ key0, low1, high0 ^ counter.word[3] ^ key1, low0}};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}
