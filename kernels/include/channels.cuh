// Eight neighbouring channels of a pixel as the unit of work of the kernels that go over channels (norm, pool).
//
// Where the number of channels is a multiple of eight, a unit is one 16-byte access (two in f32); otherwise the last unit of a pixel is
// shorter, and everything goes element by element.
#pragma once
#include "index.cuh"
#include "types.cuh"

struct Channels {
    int all, first, count;  // this unit is first .. first + count
    DEVICE Channels(int channels, int unit) : all(channels), first(unit * 8), count(min(8, channels - unit * 8)) {}
    DEVICE bool whole() const { return (all & 7) == 0; }

    template <class T>
    DEVICE Eight load(const T* pixels, int64_t pixel) const {
        return load_at(pixels + pixel * all);
    }
    template <class T>
    DEVICE void store(T* pixels, int64_t pixel, const Eight& e) const {
        T* to = pixels + pixel * all + first;
        if (whole()) return store_eight(to, e);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (i < count) to[i] = from_float<T>(e.v[i]);
        }
    }
    // Of an array of one value a channel.
    template <class T>
    DEVICE Eight load_at(const T* channels) const {
        const T* from = channels + first;
        if (whole()) return load_eight(from);
        Eight out;
#pragma unroll
        for (int i = 0; i < 8; i++) out.v[i] = i < count ? to_float(from[i]) : 0.f;
        return out;
    }
};

DEVICE int units_of(int channels) { return ceil_div(channels, 8); }
