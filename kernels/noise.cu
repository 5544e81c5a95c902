// Numbers to time kernels on: of either sign, between a half and two, every bit of the mantissa in use. Zeros and constants draw less
// power and can run faster than what training computes on.
//
// Layout: dense arrays; word i of `out` depends on i and the seed alone.
// Owner: grid-stride loop, words i, i + threads, ... of a thread. No communication, bitwise repeatable.
// Cost: one write, bound by memory.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "types.cuh"

namespace {

// The finaliser of MurmurHash3: every bit of the result depends on every bit of the argument.
DEVICE uint32_t scattered(uint32_t v) {
    v = (v ^ v >> 16) * 0x85EBCA6Bu;
    v = (v ^ v >> 13) * 0xC2B2AE35u;
    return v ^ v >> 16;
}

template <class F>
DEVICE void for_my_words(uint64_t count, F f) {
    const uint64_t step = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    for (uint64_t i = global_thread(); i < count; i += step) f(i);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) noise_f32(uint32_t* out, unsigned long long count, uint32_t seed) {
    for_my_words(count, [&](uint64_t i) {
        const uint32_t bits = scattered(static_cast<uint32_t>(i) ^ seed);
        out[i] = (bits & 0x80FFFFFFu) + 0x3F000000u;  // exponent 126 or 127
    });
}

// Two numbers a word.
extern "C" __global__ void __launch_bounds__(256) noise_bf16(uint32_t* out, unsigned long long count, uint32_t seed) {
    for_my_words(count, [&](uint64_t i) {
        const uint32_t bits = scattered(static_cast<uint32_t>(i) ^ seed);
        out[i] = (bits & 0x80FF80FFu) + 0x3F003F00u;
    });
}
