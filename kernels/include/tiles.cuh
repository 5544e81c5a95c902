// The tiles that kernels are instantiated for. build.rs reads this file, so Rust launches with the same numbers.
#pragma once
#include "tile.cuh"

#define TILE_SHAPE(name, m, n, stages, warps_m, warps_n) using name = TileShape<m, n, stages, warps_m, warps_n>

// 96 KB, two blocks on an SM with 228 KB, which leaves 128 registers a thread. For wide layers.
TILE_SHAPE(M128N128, 128, 128, 3, 2, 4);
// 72 KB, three blocks: for 64 columns, and where 128x128 leaves SMs idle.
TILE_SHAPE(M128N64, 128, 64, 3, 2, 2);
// 48 KB, four blocks: for few rows.
TILE_SHAPE(M64N64, 64, 64, 3, 2, 2);
