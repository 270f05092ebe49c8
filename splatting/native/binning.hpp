// Which Gaussians reach which tile, nearest first. Every result is the same for any number of threads.
#pragma once

#include <cstdint>

#include "splatting/native/kernels.hpp"

namespace fewview::splatting {

struct Grid {
  int32_t width, height, columns, rows;
  Grid(int32_t width_px, int32_t height_px)
      : width(width_px), height(height_px), columns((width_px + kTileWidth - 1) / kTileWidth),
        rows((height_px + kTileHeight - 1) / kTileHeight) {}
  int32_t tiles() const { return columns * rows; }
};

// Number of tiles that a Gaussian reaches.
int32_t count_tiles(const Record& record, const Grid& grid);

// order[0, n): the Gaussians that reach a tile (offsets[i] < offsets[i + 1]) by depth, ties by index. Returns n.
int64_t sort_by_depth(const Record* records, const int32_t* offsets, int64_t count, int threads, int32_t* order);

// The Gaussians of each tile by depth: entries[tile_starts[tile], tile_starts[tile + 1]). The slot of a
// (Gaussian, tile) pair is offsets[Gaussian] plus the tile's number among those it reaches.
void bin(const Record* records, const int32_t* offsets, const int32_t* order, int64_t drawn, const Grid& grid,
         int threads, Entry* entries, int32_t* tile_starts);

}  // namespace fewview::splatting
