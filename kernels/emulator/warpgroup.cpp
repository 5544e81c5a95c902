#include "warpgroup.h"

#include <cstring>
#include <string>

#include "collective.h"
#include "tensor_core.h"

namespace emulator {

namespace {

constexpr unsigned kWarpsPerGroup = 4, kRowsOfWarp = 16, kDepth = 16;
constexpr unsigned kChunk = 16;  // bytes that the swizzle moves as one

// A matrix in shared memory as its descriptor says: groups of eight rows of 128 bytes, chunks permuted by XOR of address bits 4-6 with 7-9.
struct Matrix {
    uint64_t start, stride;
    explicit Matrix(uint64_t descriptor) : start((descriptor & 0x3FFF) << 4), stride((descriptor >> 32 & 0x3FFF) << 4) {
        if (descriptor >> 62 != 1) fail("wgmma: the descriptor asks for another layout than the 128-byte swizzle, which alone is modelled");
        if (descriptor >> 49 & 7) fail("wgmma: a base offset in a descriptor is not modelled");
        if (stride % 1024 != 0) fail("wgmma: groups of eight rows are not 1024 bytes apart, or a multiple of it");
    }
    // Half `half` of the sixteen k of row `row`.
    const char* chunk(unsigned row, unsigned half) const {
        const uint64_t plain = start + row / 8 * stride + row % 8 * 128 + half * kChunk;
        return block().shared + (plain ^ (plain >> 7 & 7) << 4);
    }
    void read(unsigned row, float (&k)[kDepth]) const {
        for (unsigned half = 0; half < 2; half++) {
            uint32_t pairs[4];
            memcpy(pairs, chunk(row, half), kChunk);
            for (unsigned i = 0; i < 4; i++) {
                k[half * 8 + 2 * i] = bf16_low(pairs[i]);
                k[half * 8 + 2 * i + 1] = bf16_high(pairs[i]);
            }
        }
    }
};

// Which rows of A are a warp's.
unsigned first_row(const Warp& warp) {
    return static_cast<unsigned>(&warp - block().warps.data()) % kWarpsPerGroup * kRowsOfWarp;
}

template <class Visit>
void for_chunks(const Product& p, unsigned row, Visit visit) {
    const Matrix a(p.a), b(p.b);
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned r = 0; r < kRowsOfWarp; r++) visit(a.chunk(row + r, half), kChunk);
        for (unsigned r = 0; r < p.columns; r++) visit(b.chunk(r, half), kChunk);
    }
}

// Where lane `lane` keeps column `column` of row `row` of its warp's 16: of every eight columns two, of rows lane/4 and lane/4 + 8.
struct Place {
    unsigned lane, index;
    Place(unsigned row, unsigned column) : lane(row % 8 * 4 + column % 8 / 2), index(column / 8 * 4 + row / 8 * 2 + column % 2) {}
};

void compute(const Warp& warp, Sums& sums, const Product& p) {
    const Matrix of_a(p.a), of_b(p.b);
    float left[16][16], right[16][8], sum[16][8];
    for (unsigned row = 0; row < kRowsOfWarp; row++) of_a.read(first_row(warp) + row, left[row]);
    for (unsigned first = 0; first < p.columns; first += 8) {
        for (unsigned column = 0; column < 8; column++) {
            float k[kDepth];
            of_b.read(first + column, k);
            for (unsigned i = 0; i < kDepth; i++) right[i][column] = k[i];
        }
        const auto each = [&](auto visit) {
            for (unsigned row = 0; row < kRowsOfWarp; row++) {
                for (unsigned column = 0; column < 8; column++) {
                    const Place at(row, first + column);
                    visit(sum[row][column], sums.values[at.lane * (p.columns / 2) + at.index]);
                }
            }
        };
        each([&](float& here, float& there) { here = p.accumulate ? there : 0.f; });
        multiply_rows(sum, left, right);
        each([](float& here, float& there) { there = here; });
    }
}

// Earlier products first: they may be terms of the same sums.
void land_up_to(Warp& warp, size_t count) {
    for (size_t i = 0; i < count; i++) {
        Product& p = warp.products[i];
        if (!p.landed) compute(warp, warp.sums[p.sums], p);
        p.landed = true;
    }
}

// The sums in flight that these registers are, or new ones.
size_t sums_of(Warp& warp, float* const (&registers)[kWarpSize], unsigned columns) {
    for (size_t i = 0; i < warp.sums.size(); i++) {
        const Sums& s = warp.sums[i];
        if (s.in_flight == 0 || s.registers[0] != registers[0]) continue;
        if (s.columns != columns) fail("wgmma: a product of another shape into registers in flight");
        return i;
    }
    Sums s;
    s.columns = columns;
    const size_t each = columns / 2;
    s.values.resize(kWarpSize * each);
    for (unsigned lane = 0; lane < kWarpSize; lane++) {
        s.registers[lane] = registers[lane];
        memcpy(&s.values[lane * each], registers[lane], each * sizeof(float));
        memset(registers[lane], 0xFF, each * sizeof(float));
    }
    for (size_t i = 0; i < warp.sums.size(); i++) {
        if (warp.sums[i].in_flight == 0) {
            warp.sums[i] = std::move(s);
            return i;
        }
    }
    warp.sums.push_back(std::move(s));
    return warp.sums.size() - 1;
}

void give_back(Sums& sums) {
    const size_t bytes = sums.columns / 2 * sizeof(float);
    for (unsigned lane = 0; lane < kWarpSize; lane++) {
        const auto* touched = reinterpret_cast<const unsigned char*>(sums.registers[lane]);
        for (size_t i = 0; i < bytes; i++) {
            if (touched[i] != 0xFF) fail("wgmma: registers of a product in flight were written");
        }
        memcpy(sums.registers[lane], &sums.values[lane * (sums.columns / 2)], bytes);
    }
}

Warp& own_warp(const char* operation) {
    Block& b = block();
    if (b.warps.size() % kWarpsPerGroup != 0) fail(std::string(operation) + " in a block that is not of whole warpgroups of 128 threads");
    return b.warps[b.current->warp];
}

}  // namespace

void wgmma_issue(float* registers, unsigned columns, uint64_t a, uint64_t b, bool accumulate) {
    struct Argument {
        float* registers;
        uint64_t a, b;
        bool accumulate;
    } mine{registers, a, b, accumulate};
    own_warp("wgmma");
    collective("wgmma.mma_async", ~0u, mine, [columns](Argument** all) {
        Block& owner = block();
        Warp& warp = owner.warps[self().warp];
        const Argument& first = *all[0];
        float* lanes[kWarpSize];
        for (unsigned lane = 0; lane < kWarpSize; lane++) {
            if (all[lane]->a != first.a || all[lane]->b != first.b || all[lane]->accumulate != first.accumulate) {
                fail("wgmma: the lanes of a warp bring different descriptors");
            }
            lanes[lane] = all[lane]->registers;
        }
        if (!warp.fenced) fail("wgmma without a wgmma.fence since its registers were free");
        owner.counters.wgmma++;
        Product p{first.a, first.b, first.accumulate, columns, 0, false};
        for_chunks(p, first_row(warp), [&](const char* from, size_t bytes) { owner.shadow.async_read_issued(from, bytes, "wgmma"); });
        p.sums = sums_of(warp, lanes, columns);
        warp.sums[p.sums].in_flight++;
        warp.products.push_back(p);
        for (const uint64_t word : {first.a, first.b, uint64_t{first.accumulate}, uint64_t{columns}}) {
            warp.issued = (warp.issued ^ word) * 0x9E3779B97F4A7C15u;
        }
        const Landing landing = owner.launch.landing;
        if (landing == Landing::kEager || (landing == Landing::kMixed && owner.next_random() & 1)) land_up_to(warp, warp.products.size());
    });
}

void wgmma_fence() {
    own_warp("wgmma.fence");
    Nothing nothing;
    collective("wgmma.fence", ~0u, nothing, [](Nothing**) { block().warps[self().warp].fenced = true; });
}

void wgmma_commit() {
    own_warp("wgmma.commit_group");
    Nothing nothing;
    collective("wgmma.commit_group", ~0u, nothing, [](Nothing**) {
        Block& b = block();
        Warp& warp = b.warps[self().warp];
        warp.product_ends.push_back(warp.products.size());
        std::vector<uint64_t>& group = b.committed[self().warp / kWarpsPerGroup];
        if (warp.commits == group.size()) group.push_back(warp.issued);
        if (group[warp.commits] != warp.issued) fail("wgmma: the warps of a warpgroup issued different products");
        warp.commits++;
    });
}

void wgmma_wait(unsigned allowed) {
    own_warp("wgmma.wait_group");
    Nothing nothing;
    collective("wgmma.wait_group", ~0u, nothing, [allowed](Nothing**) {
        Block& b = block();
        Warp& warp = b.warps[self().warp];
        warp.fenced = false;
        if (warp.product_ends.size() <= allowed) return;
        const size_t groups = warp.product_ends.size() - allowed, done = warp.product_ends[groups - 1];
        land_up_to(warp, done);
        for (size_t i = 0; i < done; i++) {
            const Product& p = warp.products[i];
            for_chunks(p, first_row(warp), [&](const char* from, size_t bytes) { b.shadow.async_read_done(from, bytes); });
            if (--warp.sums[p.sums].in_flight == 0) give_back(warp.sums[p.sums]);
        }
        const auto front = [](size_t n) { return static_cast<std::ptrdiff_t>(n); };
        warp.products.erase(warp.products.begin(), warp.products.begin() + front(done));
        warp.product_ends.erase(warp.product_ends.begin(), warp.product_ends.begin() + front(groups));
        for (size_t& end : warp.product_ends) end -= done;
    });
}

void fence_proxy_async() {
    Block& b = block();
    b.current->fences++;
    b.current->fenced_at = b.epoch;
}

uint64_t shared_offset(const void* address) { return static_cast<uint64_t>(static_cast<const char*>(address) - block().shared); }

}  // namespace emulator
