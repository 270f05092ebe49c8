// Slanted-plane PatchMatch stereo: what the kernels share with the C interface.
#pragma once

#include <cstdint>
#include <vector>

namespace fewview::depth {

constexpr int kRadius = 4;        // half window, pixels
constexpr int kStep = 2;          // sampling step in the window: keeps the column parity (see ReferencePlanes)
constexpr int kSide = 5;          // samples along one side: 2 * kRadius / kStep + 1
constexpr int kSamples = kSide * kSide;
constexpr int kMaxSources = 8;
constexpr float kBadCost = 2.0f;  // also the largest possible 1 - ZNCC

// A source photo, packed so that one 32-bit word holds a pixel (low half) and its right neighbour (high half),
// 15 bits of grey and in the lowest bit of each half "not usable". One pixel of unusable border on every side
// (two on the right and bottom) makes bounds checks unnecessary: coordinates are clamped onto it.
struct Source {
  int width = 0, height = 0;
  int stride = 0;
  std::vector<uint32_t> pairs;
  float m[9], t[3];            // source pixel ~ m * reference pixel + t * inverse depth
  float back_m[9], back_t[3];  // the other way round
  std::vector<float> inverse_depth;  // of the source's own estimate (0: unknown), empty: none
};

// The reference photo by column parity: the pixels of one checkerboard colour in a row are neighbours in memory,
// and so are their window samples, because the sampling step is even.
struct ReferencePlanes {
  int stride = 0, rows = 0;
  std::vector<float> grey[2], red[2], green[2], blue[2], usable[2];
};

struct Problem {
  int width = 0, height = 0;
  float fx, fy, cx, cy;
  ReferencePlanes reference;
  std::vector<Source> sources;
  const uint8_t* mask = nullptr;
  float inverse_min, inverse_max;
  float colour_sigma;        // of the window weights, RGB distance with values in [0, 1]
  float geometric_weight;    // per pixel of forward-backward error; 0: photometric only
  float geometric_clamp_px;
  uint64_t seed;
  // State, row-major: the plane through a pixel as inverse depth and its gradient per pixel, and its cost.
  float *inverse, *gradient_x, *gradient_y, *cost;
};

// One colour (0 or 1) of one row. `round` feeds the random numbers; `inverse_step` is the size of the depth
// perturbation, `slope` that of the normal perturbation (1: any normal), `explore`: also try a random plane.
struct Round {
  int round, colour;
  float inverse_step, slope;
  bool explore;
};

#define FEWVIEW_DEPTH_DECLARE(isa)                                                        \
  namespace isa {                                                                         \
  void sweep_row(const Problem& problem, int y, int planes);                              \
  void score_row(const Problem& problem, int y);                                          \
  void propagate_row(const Problem& problem, int y, const Round& round);                  \
  }
FEWVIEW_DEPTH_DECLARE(baseline)
#if defined(FEWVIEW_HAS_AVX2) || defined(__AVX2__)
FEWVIEW_DEPTH_DECLARE(avx2)
#endif
#undef FEWVIEW_DEPTH_DECLARE

}  // namespace fewview::depth
