// The C interface of the rasteriser (splatting/_cpu.py). All pointers are float32 and contiguous unless stated.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "recon/native/parallel.hpp"
#include "splatting/native/binning.hpp"
#include "splatting/native/kernels.hpp"
#include "splatting/native/scratch.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace fewview;
using namespace fewview::splatting;

namespace {

bool use_avx2() {
#if defined(FEWVIEW_HAS_AVX2)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

const Kernels* active = nullptr;

const Kernels& kernels() {
  if (active == nullptr) {
#if defined(FEWVIEW_HAS_AVX2)
    active = use_avx2() ? &avx2::kernels() : &baseline::kernels();
#else
    active = &baseline::kernels();
#endif
  }
  return *active;
}

}  // namespace

// For tests: forgo AVX2 (on = 1) or use what the machine has (on = 0).
EXPORT void fewview_splatting_force_baseline(int on) {
  active = nullptr;
  if (on) active = &baseline::kernels();
}

// Projects, counts the tiles of each Gaussian and sorts by depth. offsets: (N + 1) int32, order: (N) int32.
// sizes[0] is the number of drawn Gaussians, sizes[1] that of (Gaussian, tile) pairs. Returns a bit for each input
// tensor (in the order of Scene) that holds NaN or infinite values.
EXPORT int fewview_splatting_project(const Scene* scene, const View* view, int threads, Record* records,
                                     int32_t* offsets, int32_t* order, int64_t* sizes) {
  const Grid grid(view->width, view->height);
  const int64_t blocks = (scene->count + kBlock - 1) / kBlock;
  std::vector<int64_t> starts(blocks + 1, 0);
  std::vector<int> codes(blocks, 0);
  parallel_for(blocks, threads, [&](int64_t b, int) {
    const int64_t begin = b * kBlock, end = std::min(begin + kBlock, scene->count);
    codes[b] = kernels().project(*scene, *view, begin, end, records);
    int64_t total = 0;
    for (int64_t i = begin; i < end; ++i) {
      offsets[i] = count_tiles(records[i], grid);
      total += offsets[i];
    }
    starts[b + 1] = total;
  });
  int code = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    starts[b + 1] += starts[b];
    code |= codes[b];
  }
  sizes[0] = sizes[1] = 0;
  if (code != 0) return code;
  if (starts[blocks] > INT32_MAX) return -1;
  parallel_for(blocks, threads, [&](int64_t b, int) {
    int64_t position = starts[b];
    for (int64_t i = b * kBlock; i < std::min((b + 1) * kBlock, scene->count); ++i) {
      const int32_t here = offsets[i];
      offsets[i] = int32_t(position);
      position += here;
    }
  });
  offsets[scene->count] = int32_t(starts[blocks]);
  sizes[0] = sort_by_depth(records, offsets, scene->count, threads, order);
  sizes[1] = starts[blocks];
  return 0;
}

// entries: (pairs, 2) int32, tile_starts: (tiles + 1) int32; both are kept for the gradient.
EXPORT void fewview_splatting_bin(const View* view, const Record* records, const int32_t* offsets,
                                  const int32_t* order, int64_t drawn, int threads, Entry* entries,
                                  int32_t* tile_starts) {
  bin(records, offsets, order, drawn, Grid(view->width, view->height), threads, entries, tile_starts);
}

EXPORT void fewview_splatting_blend(const View* view, const Record* records, const Entry* entries,
                                    const int32_t* tile_starts, int threads, const Images* out) {
  const Grid grid(view->width, view->height);
  parallel_for(grid.tiles(), threads, [&](int64_t tile, int) {
    kernels().blend(*view, records, entries + tile_starts[tile], entries + tile_starts[tile + 1],
                    int(tile % grid.columns) * kTileWidth, int(tile / grid.columns) * kTileHeight, *out);
  });
}

EXPORT int64_t fewview_splatting_tiles(int32_t width, int32_t height) { return Grid(width, height).tiles(); }

// Room for the gradients of that many pairs, the calling thread's own, until its next call of this function.
EXPORT float* fewview_splatting_slots(int64_t pairs) {
  thread_local Scratch<float> scratch;
  return scratch.take(pairs * kSlot);
}

// Fills the slots with the gradient by each pair's projected Gaussian.
EXPORT void fewview_splatting_blend_backward(const View* view, const Record* records, const Entry* entries,
                                             const int32_t* tile_starts, const Images* rendered,
                                             const ImageGradients* gradient, int threads, float* slots) {
  const Grid grid(view->width, view->height);
  parallel_for(grid.tiles(), threads, [&](int64_t tile, int) {
    kernels().blend_backward(*view, records, entries + tile_starts[tile], entries + tile_starts[tile + 1],
                             int(tile % grid.columns) * kTileWidth, int(tile / grid.columns) * kTileHeight, *rendered,
                             *gradient, slots);
  });
}

// Gradients of all parameters (every element is written) and, in view_sums[16], of the 3x4 view matrix and of
// fx, fy, cx, cy in double precision.
EXPORT void fewview_splatting_project_backward(const Scene* scene, const View* view, const int32_t* offsets,
                                               const float* slots, int threads, const SceneGradients* out,
                                               double* view_sums) {
  const int64_t blocks = (scene->count + kBlock - 1) / kBlock;
  std::vector<double> sums(blocks * kViewSums);
  parallel_for(blocks, threads, [&](int64_t b, int) {
    kernels().project_backward(*scene, *view, offsets, slots, b * kBlock, std::min((b + 1) * kBlock, scene->count),
                               *out, sums.data() + b * kViewSums);
  });
  for (int k = 0; k < kViewSums; ++k) view_sums[k] = 0;
  for (int64_t b = 0; b < blocks; ++b)
    for (int k = 0; k < kViewSums; ++k) view_sums[k] += sums[b * kViewSums + k];
}

// Writes job->gradient (unless null) and sums[2]: the loss, and the weighted mean squared error.
EXPORT void fewview_splatting_photometric(const PhotometricJob* job, int threads, double* sums) {
  // Neighbouring strips compute 4 radii of rows twice, so few strips; where they are cut changes no result.
  const int least = 8 * kWindowRadius;
  const int strips = std::max(1, std::min(threads * 2, job->height / least));
  thread_local Scratch<float> scratch;
  std::vector<double> row_sums(2 * job->height);
  const int64_t each = photometric_scratch(job->width);
  float* buffers = scratch.take(each * strips);
  PhotometricJob own = *job;
  own.row_sums = row_sums.data();
  parallel_for(strips, threads, [&](int64_t s, int) {
    kernels().photometric(own, int(job->height * s / strips), int(job->height * (s + 1) / strips), buffers + s * each);
  });
  sums[0] = sums[1] = 0;
  for (int i = 0; i < 2 * job->height; ++i) sums[i % 2] += row_sums[i];
}

// One step for all tensors at once.
EXPORT void fewview_splatting_adam(const AdamJob* jobs, int count, int threads) {
  constexpr int64_t kStretch = 1 << 14;
  std::vector<int64_t> starts(count + 1, 0);
  for (int j = 0; j < count; ++j) starts[j + 1] = starts[j] + (jobs[j].size + kStretch - 1) / kStretch;
  parallel_for(starts[count], threads, [&](int64_t item, int) {
    int j = 0;
    while (item >= starts[j + 1]) ++j;
    const int64_t begin = (item - starts[j]) * kStretch;
    kernels().adam(jobs[j], begin, std::min(begin + kStretch, jobs[j].size));
  });
}
