#include "splatting/native/binning.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "recon/native/parallel.hpp"
#include "splatting/native/scratch.hpp"

namespace fewview::splatting {

namespace {

constexpr int kChunks = 8;  // pieces of a sort; a stable sort gives one result for any number
constexpr int kAhead = 16;  // records to prefetch: in order of depth they lie anywhere
constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;

struct Keyed {
  uint32_t depth;
  int32_t gaussian;
};

int clamp_to(float x, int least, int most) {
  return x < float(least) ? least : x > float(most) ? most : int(x);
}

// The tiles of row `row` that the ellipse alpha >= 1/255 reaches: [first, last), by its extremes within the row.
// Never inlined: counting and filling must round alike.
__attribute__((noinline)) void span_of_row(const Record& g, const Grid& grid, int row, int& first, int& last) {
  const float slack = 0.05f + 1e-5f * g.reach_x;
  const float top = std::max(row * kTileHeight + 0.5f - g.y0, -g.reach_y);
  const float bottom = std::min(row * kTileHeight + kTileHeight - 0.5f - g.y0, g.reach_y);
  first = last = 0;
  if (top > bottom + slack) return;
  const float turn = g.slope * g.reach_y * g.reach_y / g.reach_x;  // dy of the rightmost point
  const auto side = [&](float sign) {
    const float dy = std::min(std::max(sign * turn, top), std::max(top, bottom));
    const float half2 = (g.log_opacity + g.bend_y * dy * dy - kLog2AlphaMin) * g.narrow;
    return g.x0 + g.slope * dy + sign * (std::sqrt(std::max(half2, 0.f)) + slack);
  };
  first = clamp_to(std::floor((side(-1.f) - 0.5f) * (1.f / kTileWidth)), 0, grid.columns);
  last = clamp_to(std::floor((side(1.f) - 0.5f) * (1.f / kTileWidth)) + 1.f, 0, grid.columns);
}

struct Box {
  int left, right, top, bottom;  // tiles
};
__attribute__((noinline)) void box_of(const Record& g, const Grid& grid, Box& box) {
  box.left = clamp_to(std::floor((g.x0 - g.reach_x - 0.5f) * (1.f / kTileWidth)), 0, grid.columns);
  box.right = clamp_to(std::floor((g.x0 + g.reach_x - 0.5f) * (1.f / kTileWidth)) + 1.f, 0, grid.columns);
  box.top = clamp_to(std::floor((g.y0 - g.reach_y - 0.5f) * (1.f / kTileHeight)), 0, grid.rows);
  box.bottom = clamp_to(std::floor((g.y0 + g.reach_y - 0.5f) * (1.f / kTileHeight)) + 1.f, 0, grid.rows);
}

template <typename Visit>
inline void visit_tiles(const Record& g, const Grid& grid, const Visit& visit) {
  Box box;
  box_of(g, grid, box);
  const bool exact = box.bottom - box.top > 1 && box.right - box.left > 1;
  for (int row = box.top; row < box.bottom; ++row) {
    // In a single row or column the box is as good as the ellipse.
    if (exact) span_of_row(g, grid, row, box.left, box.right);
    for (int column = box.left; column < box.right; ++column) visit(row * grid.columns + column);
  }
}

int64_t chunk_start(int64_t size, int chunk) { return size * chunk / kChunks; }

}  // namespace

int32_t count_tiles(const Record& record, const Grid& grid) {
  if (record.reach_y < 0) return 0;
  int32_t count = 0;
  visit_tiles(record, grid, [&](int) { ++count; });
  return count;
}

int64_t sort_by_depth(const Record* records, const int32_t* offsets, int64_t count, int threads, int32_t* order) {
  thread_local Scratch<Keyed> scratch[2];
  Keyed *from = scratch[0].take(count), *to = scratch[1].take(count);
  int64_t starts[kChunks + 1] = {};
  parallel_for(kChunks, threads, [&](int64_t c, int) {
    const int64_t end = chunk_start(count, int(c) + 1);
    for (int64_t i = chunk_start(count, int(c)); i < end; ++i) starts[c + 1] += offsets[i + 1] > offsets[i];
  });
  for (int c = 0; c < kChunks; ++c) starts[c + 1] += starts[c];
  uint32_t least[kChunks], most[kChunks];
  parallel_for(kChunks, threads, [&](int64_t c, int) {
    const int64_t end = chunk_start(count, int(c) + 1);
    int64_t at = starts[c];
    least[c] = UINT32_MAX;
    most[c] = 0;
    for (int64_t i = chunk_start(count, int(c)); i < end; ++i) {
      if (offsets[i + 1] == offsets[i]) continue;
      uint32_t depth;  // positive floats sort as their bits do
      std::memcpy(&depth, &records[i].channels[3], 4);
      from[at++] = {depth, int32_t(i)};
      least[c] = std::min(least[c], depth);
      most[c] = std::max(most[c], depth);
    }
  });
  const int64_t drawn = starts[kChunks];
  if (drawn == 0) return 0;
  const uint32_t lowest = *std::min_element(least, least + kChunks);
  const uint32_t range = *std::max_element(most, most + kChunks) - lowest;

  // Least significant digit first, stable, a histogram for each chunk.
  static_assert(kChunks * kDigits * 4 <= 1 << 17, "the histograms fit the stack");
  uint32_t histogram[kChunks][kDigits];
  for (int shift = 0; shift < 32 && (range >> shift) != 0; shift += kDigitBits) {
    const auto digit = [=](const Keyed& k) { return ((k.depth - lowest) >> shift) & (kDigits - 1); };
    parallel_for(kChunks, threads, [&](int64_t c, int) {
      std::memset(histogram[c], 0, sizeof(histogram[c]));
      const int64_t end = chunk_start(drawn, int(c) + 1);
      for (int64_t i = chunk_start(drawn, int(c)); i < end; ++i) ++histogram[c][digit(from[i])];
    });
    uint32_t position = 0;
    for (int d = 0; d < kDigits; ++d)
      for (int c = 0; c < kChunks; ++c) {
        const uint32_t here = histogram[c][d];
        histogram[c][d] = position;
        position += here;
      }
    parallel_for(kChunks, threads, [&](int64_t c, int) {
      const int64_t end = chunk_start(drawn, int(c) + 1);
      for (int64_t i = chunk_start(drawn, int(c)); i < end; ++i) to[histogram[c][digit(from[i])]++] = from[i];
    });
    std::swap(from, to);
  }
  for (int64_t i = 0; i < drawn; ++i) order[i] = from[i].gaussian;
  return drawn;
}

void bin(const Record* records, const int32_t* offsets, const int32_t* order, int64_t drawn, const Grid& grid,
         int threads, Entry* entries, int32_t* tile_starts) {
  thread_local Scratch<int32_t> scratch[2];
  // Every drawn Gaussian's last offset lies within the pairs, so the largest one bounds them.
  int32_t pairs = 0;
  for (int64_t i = 0; i < drawn; ++i) pairs = std::max(pairs, offsets[order[i] + 1]);
  int32_t* tile_of_slot = scratch[0].take(pairs);
  const int32_t tiles = grid.tiles();
  int32_t* counts = scratch[1].take(int64_t(kChunks) * tiles);
  parallel_for(kChunks, threads, [&](int64_t c, int) {
    int32_t* count = counts + c * tiles;
    std::memset(count, 0, tiles * sizeof(int32_t));
    const int64_t end = chunk_start(drawn, int(c) + 1);
    for (int64_t i = chunk_start(drawn, int(c)); i < end; ++i) {
      const int64_t ahead = i + kAhead < end ? order[i + kAhead] : 0;
      __builtin_prefetch(records + ahead);
      __builtin_prefetch(offsets + ahead);
      int32_t* slot = tile_of_slot + offsets[order[i]];
      visit_tiles(records[order[i]], grid, [&](int tile) {
        *slot++ = tile;
        ++count[tile];
      });
    }
  });
  int32_t position = 0;
  for (int32_t tile = 0; tile < tiles; ++tile) {
    tile_starts[tile] = position;
    for (int c = 0; c < kChunks; ++c) {
      const int32_t here = counts[int64_t(c) * tiles + tile];
      counts[int64_t(c) * tiles + tile] = position;
      position += here;
    }
  }
  tile_starts[tiles] = position;
  parallel_for(kChunks, threads, [&](int64_t c, int) {
    int32_t* next = counts + c * tiles;
    const int64_t end = chunk_start(drawn, int(c) + 1);
    for (int64_t i = chunk_start(drawn, int(c)); i < end; ++i) {
      const int32_t gaussian = order[i];
      for (int32_t slot = offsets[gaussian]; slot < offsets[gaussian + 1]; ++slot)
        entries[next[tile_of_slot[slot]]++] = {gaussian, slot};
    }
  });
}

}  // namespace fewview::splatting
