// The main loop of every tensor-core kernel: copies of the next stages run while this one is multiplied.
//
// A ring of kStages stages. In every turn the block
//   1. waits until the copies of this turn's stage have landed (each thread its own),
//   2. meets at a barrier: everybody's copies are then visible, and everybody is done with the stage multiplied in the last turn,
//   3. issues the copies of kStages - 1 turns ahead into that stage, and
//   4. multiplies this turn's stage.
// One barrier a turn. A group is committed in every turn, empty or not, so that waiting counts turns.
#pragma once
#include "tile.cuh"

// `source.load(stage)` issues this thread's copies of the next block of k and moves on; it is called `blocks` times.
template <class Tile, Major kMajorA, Major kMajorB, class Source>
DEVICE void accumulate_tile(Accumulators<Tile>& sums, Source& source, char* shared, int blocks) {
    sums.clear();
    const int lane = threadIdx.x & 31;
    const auto of_a = Fragments<kMajorA>::of_a(Tile::warp_m(), lane);
    const auto of_b = Fragments<kMajorB>::of_b(Tile::warp_n(), lane);
#pragma unroll
    for (int s = 0; s < Tile::kStages - 1; s++) {
        if (s < blocks) source.load(shared + s * Tile::kStageBytes);
        commit_copies();
    }
    int reading = 0, writing = Tile::kStages - 1;
    for (int turn = 0; turn < blocks; turn++) {
        wait_copies<Tile::kStages - 2>();
        __syncthreads();
        if (turn + Tile::kStages - 1 < blocks) source.load(shared + writing * Tile::kStageBytes);
        commit_copies();
        multiply_stage(sums, shared + reading * Tile::kStageBytes, of_a, of_b);
        reading = reading + 1 == Tile::kStages ? 0 : reading + 1;
        writing = writing + 1 == Tile::kStages ? 0 : writing + 1;
    }
    wait_copies<0>();
    __syncthreads();  // the epilogue overwrites the stages
}
