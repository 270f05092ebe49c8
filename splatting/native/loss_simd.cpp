// L1 + SSIM of two RGB images and its gradient by the first, row by row.
//
// The Gaussian window is separable: each row is blurred along x into a ring of rows, each ring along y. Two such
// stages follow one another, the statistics and the gradient by them, so that an image passes through the cache
// once. Interleaved RGB needs no unpacking: along x, neighbours lie 3 floats apart.
#include "splatting/native/kernels.hpp"
#include "splatting/native/simd.hpp"

namespace fewview::splatting::FEWVIEW_ISA {

namespace {

constexpr int kRadius = kWindowRadius, kRing = 2 * kRadius + 1;
constexpr float kC1 = 1e-4f, kC2 = 9e-4f;  // 0.01^2 and 0.03^2, for a range of 1

// out[i] = sum_k window[|k|] in[i + k * step]; `in` is readable kRadius steps and a vector beyond both ends.
inline void blur_along(const float* in, int64_t size, int64_t step, const float* window, float* out) {
  for (int64_t i = 0; i < size; i += kLanes) {
    Floats s = window[0] * load(in + i);
    for (int k = 1; k <= kRadius; ++k) s += window[k] * (load(in + i - k * step) + load(in + i + k * step));
    store(out + i, s);
  }
}

// Three maps of the latest rows, blurred along x.
struct Ring {
  float* data;
  int64_t row;  // floats in a padded row
  float* at(int map, int y) const { return data + (int64_t(map) * kRing + (y % kRing)) * row; }
  Floats across(int map, int y, int64_t i, const float* window) const {
    Floats s = window[0] * load(at(map, y) + i);
    for (int k = 1; k <= kRadius; ++k)
      s += window[k] * (load(at(map, y + kRing - k) + i) + load(at(map, y + k) + i));
    return s;
  }
};

}  // namespace

void photometric(const PhotometricJob& job, int row_begin, int row_end, float* scratch) {
  const int64_t size = 3 * int64_t(job.width), row = photometric_row(job.width);
  // Everything outside the image is zero, and so are the ends of the rows.
  __builtin_memset(scratch, 0, photometric_scratch(job.width) * sizeof(float));
  const Ring statistics{scratch, row}, derivatives{scratch + 3 * kRing * row, row};
  float* line[3];
  for (int m = 0; m < 3; ++m) line[m] = scratch + (6 * kRing + m) * row + 3 * kRadius;
  float* weight = scratch + (6 * kRing + 3) * row;  // of each float of a row
  const float *window = job.window, share = job.ssim_weight;

  const auto load_weights = [&](int y) {
    for (int64_t x = 0; x < job.width; ++x) {
      const float w = job.weight ? job.weight[y * int64_t(job.width) + x] : 1.f;
      for (int c = 0; c < 3; ++c) weight[3 * x + c] = w * job.scale;
    }
  };
  const auto clear = [&](const Ring& ring, int y) {
    for (int m = 0; m < 3; ++m) __builtin_memset(ring.at(m, y), 0, row * sizeof(float));
  };

  // Stage one takes row y, stage two (the statistics and their gradient) y - radius, stage three y - 2 radius.
  for (int y = row_begin - 2 * kRadius; y < row_end + 2 * kRadius; ++y) {
    if (y < 0) continue;
    if (y < job.height) {
      const float *x = job.rendered + y * size, *t = job.target + y * size;
      for (int64_t i = 0; i < size; ++i) {
        line[0][i] = x[i];
        line[1][i] = x[i] * x[i];
        line[2][i] = x[i] * t[i];
      }
      if (job.weight)
        for (int64_t p = 0; p < job.width; ++p)
          if (job.weight[y * int64_t(job.width) + p] == 0.f)
            for (int64_t i = 3 * p; i < 3 * p + 3; ++i) {
              line[0][i] = t[i];
              line[1][i] = line[2][i] = t[i] * t[i];
            }
      for (int m = 0; m < 3; ++m) blur_along(line[m], size, 3, window, statistics.at(m, y));
    } else {
      clear(statistics, y);
    }

    const int y1 = y - kRadius;
    if (y1 >= 0 && y1 >= row_begin - kRadius) {
      if (y1 < job.height && y1 < row_end + kRadius) {
        load_weights(y1);
        const float *x = job.rendered + y1 * size, *t = job.target + y1 * size;
        const float *mean_t = job.target_mean + y1 * size, *variance_t = job.target_variance + y1 * size;
        Floats total = {}, squared = {};
        for (int64_t i = 0; i < size; i += kLanes) {
          const int n = size - i < kLanes ? int(size - i) : kLanes;
          const Ints inside = lane_index() < n;
          const auto read = [&](const float* p) { return n == kLanes ? load(p + i) : load_some(p + i, n); };
          const Floats mx = statistics.across(0, y1, i, window), my = read(mean_t);
          const Floats sxx = statistics.across(1, y1, i, window) - mx * mx;
          const Floats sxy = statistics.across(2, y1, i, window) - mx * my;
          const Floats a1 = 2.f * mx * my + kC1, a2 = 2.f * sxy + kC2;
          const Floats b1 = mx * mx + my * my + kC1, b2 = sxx + read(variance_t) + kC2;
          const Floats ib1 = 1.f / b1, ib2 = 1.f / b2;
          const Floats ssim = a1 * a2 * ib1 * ib2;
          const Floats w = keep(inside, load(weight + i)), g = -share * w;
          store(line[0] + i, g * 2.f * (my * (a2 - a1) * ib1 * ib2 - ssim * mx * (ib1 - ib2)));
          store(line[1] + i, -g * ssim * ib2);
          store(line[2] + i, g * 2.f * a1 * ib1 * ib2);
          const Floats difference = read(x) - read(t);
          total += w * ((1.f - share) * absolute(difference) + share * (1.f - ssim));
          squared += w * difference * difference;
        }
        if (y1 >= row_begin && y1 < row_end) {
          job.row_sums[2 * y1] = sum(total);
          job.row_sums[2 * y1 + 1] = sum(squared);
        }
        // The last vector may have run over the right margin.
        for (int m = 0; m < 3; ++m) __builtin_memset(line[m] + size, 0, 3 * kRadius * sizeof(float));
        if (job.gradient)
          for (int m = 0; m < 3; ++m) blur_along(line[m], size, 3, window, derivatives.at(m, y1));
      } else {
        clear(derivatives, y1);
      }
    }

    const int y2 = y1 - kRadius;
    if (job.gradient && y2 >= row_begin && y2 < row_end) {
      load_weights(y2);
      const float *x = job.rendered + y2 * size, *t = job.target + y2 * size;
      float* out = job.gradient + y2 * size;
      for (int64_t i = 0; i < size; i += kLanes) {
        const int n = size - i < kLanes ? int(size - i) : kLanes;
        const auto read = [&](const float* p) { return n == kLanes ? load(p + i) : load_some(p + i, n); };
        const Floats vx = read(x), vt = read(t), w = load(weight + i);
        const Floats l1 = keep((vx > vt), splat(1.f)) - keep((vx < vt), splat(1.f));
        Floats g = (1.f - share) * w * l1 + derivatives.across(0, y2, i, window) +
                   2.f * vx * derivatives.across(1, y2, i, window) + vt * derivatives.across(2, y2, i, window);
        g = keep(w != 0.f, g);
        if (n == kLanes)
          store(out + i, g);
        else
          for (int l = 0; l < n; ++l) out[i + l] = g[l];
      }
    }
  }
}

}  // namespace fewview::splatting::FEWVIEW_ISA
