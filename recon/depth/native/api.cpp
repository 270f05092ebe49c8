// The C interface of the depth kernels (recon/depth/patchmatch.py).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "patchmatch.hpp"
#include "recon/native/parallel.hpp"

using namespace fewview::depth;

namespace {

bool has_avx2() {
#if defined(FEWVIEW_HAS_AVX2)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

#if defined(FEWVIEW_HAS_AVX2)
#define FEWVIEW_DISPATCH(call) (use_avx2 ? avx2::call : baseline::call)
#else
#define FEWVIEW_DISPATCH(call) baseline::call
#endif

ReferencePlanes split_by_parity(int width, int height, const float* grey, const float* rgb, const uint8_t* mask) {
  ReferencePlanes out;
  out.stride = width / 2 + 1 + kRadius + 8;  // 8: the last batch may reach past the row
  out.rows = height + 2 * kRadius;
  for (int parity = 0; parity < 2; ++parity) {
    for (auto* plane : {&out.grey[parity], &out.red[parity], &out.green[parity], &out.blue[parity], &out.usable[parity]})
      plane->assign(size_t(out.stride) * out.rows, 0.0f);
    for (int y = 0; y < height; ++y) {
      for (int x = parity; x < width; x += 2) {
        const int64_t from = int64_t(y) * width + x;
        const int64_t to = int64_t(y + kRadius) * out.stride + x / 2 + kRadius / 2;
        out.grey[parity][to] = grey[from];
        out.red[parity][to] = rgb[3 * from];
        out.green[parity][to] = rgb[3 * from + 1];
        out.blue[parity][to] = rgb[3 * from + 2];
        out.usable[parity][to] = mask[from] ? 1.0f : 0.0f;
      }
    }
  }
  return out;
}

void pack(Source& s, const float* grey, const uint8_t* mask) {
  s.stride = s.width + 3;
  const int rows = s.height + 3;
  std::vector<uint32_t> flat(size_t(s.stride + 1) * rows, 1u);  // 1: not usable
  for (int y = 0; y < s.height; ++y) {
    for (int x = 0; x < s.width; ++x) {
      const int64_t i = int64_t(y) * s.width + x;
      const auto value = static_cast<uint32_t>(std::lround(std::min(1.0f, std::max(0.0f, grey[i])) * 32767));
      flat[size_t(y + 1) * (s.stride + 1) + x + 1] = (value << 1) | (mask[i] ? 0u : 1u);
    }
  }
  s.pairs.resize(size_t(s.stride) * rows);
  for (int y = 0; y < rows; ++y)
    for (int x = 0; x < s.stride; ++x) {
      const uint32_t* at = &flat[size_t(y) * (s.stride + 1) + x];
      s.pairs[size_t(y) * s.stride + x] = at[0] | (at[1] << 16);
    }
}

}  // namespace

extern "C" {

struct FewviewSource {
  int32_t width, height;
  const float* grey;           // (height, width) in [0, 1]
  const uint8_t* mask;         // (height, width), nonzero: usable
  const float* inverse_depth;  // (height, width), 0: unknown; null: no geometric term
  float m[9], t[3], back_m[9], back_t[3];
};

struct FewviewStereo {
  int32_t width, height;
  const float* grey;    // (height, width)
  const float* rgb;     // (height, width, 3)
  const uint8_t* mask;  // (height, width)
  float fx, fy, cx, cy;
  float inverse_min, inverse_max, colour_sigma, geometric_weight, geometric_clamp_px;
  float inverse_step;   // size of the depth perturbation in the first round; halves each round
  float slope;          // same for normals
  int32_t planes;       // > 0: start with a sweep; 0: score and keep the given state
  int32_t rounds, explore_rounds, threads, sources;
  uint64_t seed;
};

__attribute__((visibility("default"))) void fewview_patchmatch(const FewviewStereo* in, const FewviewSource* sources,
                                                               float* inverse, float* gradient_x, float* gradient_y,
                                                               float* cost, int32_t allow_avx2) {
  Problem p;
  p.width = in->width;
  p.height = in->height;
  p.fx = in->fx;
  p.fy = in->fy;
  p.cx = in->cx;
  p.cy = in->cy;
  p.mask = in->mask;
  p.inverse_min = in->inverse_min;
  p.inverse_max = in->inverse_max;
  p.colour_sigma = in->colour_sigma;
  p.geometric_weight = in->geometric_weight;
  p.geometric_clamp_px = in->geometric_clamp_px;
  p.seed = in->seed;
  p.inverse = inverse;
  p.gradient_x = gradient_x;
  p.gradient_y = gradient_y;
  p.cost = cost;
  p.reference = split_by_parity(in->width, in->height, in->grey, in->rgb, in->mask);
  for (int i = 0; i < std::min<int>(in->sources, kMaxSources); ++i) {
    Source s;
    s.width = sources[i].width;
    s.height = sources[i].height;
    std::memcpy(s.m, sources[i].m, sizeof(s.m));
    std::memcpy(s.t, sources[i].t, sizeof(s.t));
    std::memcpy(s.back_m, sources[i].back_m, sizeof(s.back_m));
    std::memcpy(s.back_t, sources[i].back_t, sizeof(s.back_t));
    pack(s, sources[i].grey, sources[i].mask);
    if (sources[i].inverse_depth)
      s.inverse_depth.assign(sources[i].inverse_depth, sources[i].inverse_depth + int64_t(s.width) * s.height);
    p.sources.push_back(std::move(s));
  }

  const bool use_avx2 = allow_avx2 && has_avx2();
  (void)use_avx2;
  const auto rows = [&](auto&& body) {
    fewview::parallel_for(p.height, in->threads, [&](int64_t y, int) { body(static_cast<int>(y)); });
  };
  if (in->planes > 0)
    rows([&](int y) { FEWVIEW_DISPATCH(sweep_row(p, y, in->planes)); });
  else
    rows([&](int y) { FEWVIEW_DISPATCH(score_row(p, y)); });
  float step = in->inverse_step, slope = in->slope;
  for (int round = 0; round < in->rounds; ++round) {
    for (int colour = 0; colour < 2; ++colour) {
      const Round r{round, colour, step, slope, round < in->explore_rounds};
      rows([&](int y) { FEWVIEW_DISPATCH(propagate_row(p, y, r)); });
    }
    step *= 0.5f;
    slope *= 0.5f;
  }
}
}
