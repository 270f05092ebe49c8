// PatchMatch stereo with slanted support windows, after Bleyer et al. 2011 (planes, propagation), Galliani et al.
// 2015 (checkerboard order) and Xu & Tao 2019 (candidates from the best pixel of each neighbouring region, geometric
// consistency in the cost). Eight pixels of one checkerboard colour are evaluated at once.
#include "patchmatch.hpp"

#include <cmath>

#include "lanes.hpp"

namespace fewview::depth::FEWVIEW_ISA {
namespace {

struct Plane {
  Floats inverse, gx, gy;
};

// Eight pixels of one colour in one row: x = first + 2 * lane.
struct Batch {
  int first, y;
  Ints inside;  // the pixel exists and is usable
  Floats x, yf; // pixel centres
  Floats weight[kSamples];
  Floats grey[kSamples];  // minus the centre's grey
  Floats centre;
  Floats total;           // sum of weights
};

constexpr float kEps = 1e-6f;
constexpr float kNoiseVariance = 1.0f / (255 * 255);  // of grey: keeps quantisation noise from correlating

Batch make_batch(const Problem& p, int y, int first) {
  Batch b;
  b.first = first;
  b.y = y;
  const int parity = first & 1, j0 = first >> 1;
  const auto& r = p.reference;
  for (int l = 0; l < kLanes; ++l) {
    const int x = first + 2 * l;
    b.inside[l] = (x < p.width && p.mask[int64_t(y) * p.width + x]) ? -1 : 0;
    b.x[l] = x + 0.5f;
  }
  b.yf = splat(y + 0.5f);
  // The planes are padded by kRadius rows and kRadius / 2 columns on every side.
  const auto at = [&](const std::vector<float>& plane, int dy, int dj) {
    return load(plane.data() + int64_t(y + kRadius + dy) * r.stride + (j0 + kRadius / 2 + dj));
  };
  b.centre = at(r.grey[parity], 0, 0);
  const Floats red = at(r.red[parity], 0, 0), green = at(r.green[parity], 0, 0), blue = at(r.blue[parity], 0, 0);
  const float colour_scale = 1.0f / (2 * p.colour_sigma * p.colour_sigma);
  b.total = splat(0);
  int k = 0;
  for (int dy = -kRadius; dy <= kRadius; dy += kStep) {
    for (int dx = -kRadius; dx <= kRadius; dx += kStep, ++k) {
      const int dj = dx / 2;
      const Floats dr = at(r.red[parity], dy, dj) - red, dg = at(r.green[parity], dy, dj) - green,
                   db = at(r.blue[parity], dy, dj) - blue;
      const float spatial = (dx * dx + dy * dy) / (2.0f * kRadius * kRadius);
      b.weight[k] = exp_negative((dr * dr + dg * dg + db * db) * colour_scale + spatial) *
                    at(r.usable[parity], dy, dj);
      b.grey[k] = at(r.grey[parity], dy, dj) - b.centre;
      b.total += b.weight[k];
    }
  }
  return b;
}

// 1 - weighted ZNCC between the window and its image in the source by the plane's homography, centred over the
// samples that are usable in both.
Floats photometric(const Batch& b, const Source& s, const Plane& plane) {
  const Floats u0 = s.m[0] * b.x + s.m[1] * b.yf + s.m[2] + s.t[0] * plane.inverse;
  const Floats v0 = s.m[3] * b.x + s.m[4] * b.yf + s.m[5] + s.t[1] * plane.inverse;
  const Floats q0 = s.m[6] * b.x + s.m[7] * b.yf + s.m[8] + s.t[2] * plane.inverse;
  const Floats ux = s.m[0] + s.t[0] * plane.gx, vx = s.m[3] + s.t[1] * plane.gx, qx = s.m[6] + s.t[2] * plane.gx;
  const Floats uy = s.m[1] + s.t[0] * plane.gy, vy = s.m[4] + s.t[1] * plane.gy, qy = s.m[7] + s.t[2] * plane.gy;
  const Floats eps = splat(kEps), zero = splat(0);
  // Pixel coordinates become indices into the bordered image: + 1 for the border, - 0.5 for the centre.
  const Floats u_end = splat(s.width + 0.99f), v_end = splat(s.height + 0.99f);
  const Ints stride = splat_int(s.stride);
  constexpr float kScale = 1.0f / 65535;

  Floats sw = zero, sa = zero, sb = zero, saa = zero, sbb = zero, sab = zero;
  int k = 0;
  for (int dy = -kRadius; dy <= kRadius; dy += kStep) {
    Floats u = u0 + float(dy) * uy - float(kRadius) * ux;
    Floats v = v0 + float(dy) * vy - float(kRadius) * vx;
    Floats q = q0 + float(dy) * qy - float(kRadius) * qx;
    for (int i = 0; i < kSide; ++i, ++k) {
      const Floats inverse_q = 1.0f / maximum(q, eps);
      const Floats su = clamp(u * inverse_q + 0.5f, zero, u_end);
      const Floats sv = clamp(v * inverse_q + 0.5f, zero, v_end);
      u += float(kStep) * ux;
      v += float(kStep) * vx;
      q += float(kStep) * qx;
      const Ints iu = truncate(su), iv = truncate(sv);
      const Floats fu = su - to_floats(iu), fv = sv - to_floats(iv);
      const Ints index = iv * stride + iu;
      const Words top = gather(s.pairs.data(), index);
      const Words bottom = gather(s.pairs.data() + s.stride, index);
      const Ints usable = reinterpret_cast<Ints>(((top | bottom) & 0x00010001u) == 0u);
      const Floats t0 = to_floats(reinterpret_cast<Ints>(top & 0xffffu));
      const Floats t1 = to_floats(reinterpret_cast<Ints>(top >> 16));
      const Floats b0 = to_floats(reinterpret_cast<Ints>(bottom & 0xffffu));
      const Floats b1 = to_floats(reinterpret_cast<Ints>(bottom >> 16));
      const Floats t = t0 + fu * (t1 - t0), bt = b0 + fu * (b1 - b0);
      const Floats value = (t + fv * (bt - t)) * kScale - b.centre;
      const Floats w = select(usable, b.weight[k], zero);
      const Floats wa = w * b.grey[k], wb = w * value;
      sw += w;
      sa += wa;
      sb += wb;
      saa += wa * b.grey[k];
      sbb += wb * value;
      sab += wa * value;
    }
  }
  const Floats n = 1.0f / maximum(sw, eps);
  const Floats ma = sa * n, mb = sb * n;
  const Floats va = maximum(saa * n - ma * ma, zero) + kNoiseVariance;
  const Floats vb = maximum(sbb * n - mb * mb, zero) + kNoiseVariance;
  const Floats cost = 1.0f - (sab * n - ma * mb) / square_root(va * vb);
  return select((sw > 0.5f * b.total) & (q0 > kEps), clamp(cost, zero, splat(kBadCost)), splat(kBadCost));
}

// Distance in pixels between the pixel and where the source's own depth, met along the hypothesis, sends it back.
Floats round_trip_px(const Problem& p, const Batch& b, const Source& s, Floats inverse) {
  const Floats q = s.m[6] * b.x + s.m[7] * b.yf + s.m[8] + s.t[2] * inverse;
  const Floats inverse_q = 1.0f / maximum(q, splat(kEps));
  const Floats u = (s.m[0] * b.x + s.m[1] * b.yf + s.m[2] + s.t[0] * inverse) * inverse_q;
  const Floats v = (s.m[3] * b.x + s.m[4] * b.yf + s.m[5] + s.t[1] * inverse) * inverse_q;
  const Ints inside = (q > kEps) & (u >= 0.0f) & (v >= 0.0f) & (u < float(s.width)) & (v < float(s.height));
  const Ints iu = truncate(clamp(u, splat(0), splat(s.width - 1.0f)));
  const Ints iv = truncate(clamp(v, splat(0), splat(s.height - 1.0f)));
  const Floats other = gather(s.inverse_depth.data(), iv * splat_int(s.width) + iu);
  const Floats bq = s.back_m[6] * u + s.back_m[7] * v + s.back_m[8] + s.back_t[2] * other;
  const Floats inverse_bq = 1.0f / maximum(bq, splat(kEps));
  const Floats bx = (s.back_m[0] * u + s.back_m[1] * v + s.back_m[2] + s.back_t[0] * other) * inverse_bq;
  const Floats by = (s.back_m[3] * u + s.back_m[4] * v + s.back_m[5] + s.back_t[1] * other) * inverse_bq;
  const Floats dx = bx - b.x, dy = by - b.yf;
  const Floats worst = splat(p.geometric_clamp_px);
  return select(inside & (other > 0.0f) & (bq > kEps), minimum(square_root(dx * dx + dy * dy), worst), worst);
}

// Mean over the better half of the sources.
Floats cost_of(const Problem& p, const Batch& b, const Plane& plane) {
  Floats sorted[kMaxSources];
  const int n = static_cast<int>(p.sources.size());
  for (int i = 0; i < n; ++i) {
    const Source& s = p.sources[i];
    Floats c = photometric(b, s, plane);
    if (p.geometric_weight > 0 && !s.inverse_depth.empty())
      c += p.geometric_weight * round_trip_px(p, b, s, plane.inverse);
    for (int j = 0; j < i; ++j) {  // insertion by compare-and-exchange: sorted without branches
      const Floats low = minimum(sorted[j], c);
      c = maximum(sorted[j], c);
      sorted[j] = low;
    }
    sorted[i] = c;
  }
  const int half = (n + 1) / 2;
  Floats sum = sorted[0];
  for (int i = 1; i < half; ++i) sum += sorted[i];
  return sum * (1.0f / half);
}

struct Best {
  Plane plane;
  Floats cost;
};

void consider(const Problem& p, const Batch& b, const Plane& plane, Best& best) {
  const Floats cost = cost_of(p, b, plane);
  const Ints better = (cost < best.cost) & (plane.inverse >= p.inverse_min) & (plane.inverse <= p.inverse_max);
  best.cost = select(better, cost, best.cost);
  best.plane.inverse = select(better, plane.inverse, best.plane.inverse);
  best.plane.gx = select(better, plane.gx, best.plane.gx);
  best.plane.gy = select(better, plane.gy, best.plane.gy);
}

Best load_state(const Problem& p, const Batch& b) {
  Best best{{splat(0), splat(0), splat(0)}, splat(kBadCost)};
  for (int l = 0; l < kLanes; ++l) {
    if (!b.inside[l]) continue;
    const int64_t i = int64_t(b.y) * p.width + b.first + 2 * l;
    best.plane.inverse[l] = p.inverse[i];
    best.plane.gx[l] = p.gradient_x[i];
    best.plane.gy[l] = p.gradient_y[i];
    best.cost[l] = p.cost[i];
  }
  return best;
}

void store_state(const Problem& p, const Batch& b, const Best& best) {
  for (int l = 0; l < kLanes; ++l) {
    if (!b.inside[l]) continue;
    const int64_t i = int64_t(b.y) * p.width + b.first + 2 * l;
    p.inverse[i] = best.plane.inverse[l];
    p.gradient_x[i] = best.plane.gx[l];
    p.gradient_y[i] = best.plane.gy[l];
    p.cost[i] = best.cost[l];
  }
}

uint64_t mix(uint64_t x) {  // splitmix64: random numbers by counter, so that no order of work changes them
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

struct Random {
  uint64_t state;
  float symmetric() {  // in [-1, 1)
    state = mix(state);
    return static_cast<float>(static_cast<int32_t>(state >> 32)) * (1.0f / 2147483648.0f);
  }
};

Random random_of(const Problem& p, int x, int y, int round, int kind) {
  const uint64_t pixel = uint64_t(y) * uint64_t(p.width) + uint64_t(x);
  return {mix(p.seed ^ mix(pixel) ^ mix(0x5851f42d4c957f2dull * uint64_t(round * 8 + kind + 1)))};
}

// The gradient of inverse depth for a plane of slopes (a, b): the normal is (a, b, -1) about the viewing ray, so
// |slope| = tan of the angle to it.
void set_slopes(const Problem& p, const Batch& b, int lane, float slope_x, float slope_y, Plane& plane) {
  // With normalised coordinates (xn, yn) the plane is inverse = A xn + B yn + C and its normal is along (A, B, C);
  // a normal r + slope_x * e1 + slope_y * e2 about the ray r = (xn, yn, 1) has A = s (xn + slope_x), and so on.
  const float xn = (b.x[lane] - p.cx) / p.fx, yn = (b.yf[lane] - p.cy) / p.fy;
  const float a = xn + slope_x, c = yn + slope_y;
  const float along = a * xn + c * yn + 1.0f;  // (A, B, C) . ray, before scaling
  if (along < 0.1f) return;
  const float scale = plane.inverse[lane] / along;
  plane.gx[lane] = a * scale / p.fx;
  plane.gy[lane] = c * scale / p.fy;
}

}  // namespace

void sweep_row(const Problem& p, int y, int planes) {
  const float step = (p.inverse_max - p.inverse_min) / planes;
  for (int colour = 0; colour < 2; ++colour) {
    for (int first = colour; first < p.width; first += 2 * kLanes) {
      const Batch b = make_batch(p, y, first);
      Best best{{splat(0), splat(0), splat(0)}, splat(4 * kBadCost)};
      for (int k = 0; k < planes; ++k)
        consider(p, b, {splat(p.inverse_min + (k + 0.5f) * step), splat(0), splat(0)}, best);
      store_state(p, b, best);
    }
  }
}

void score_row(const Problem& p, int y) {
  for (int colour = 0; colour < 2; ++colour) {
    for (int first = colour; first < p.width; first += 2 * kLanes) {
      const Batch b = make_batch(p, y, first);
      Best best = load_state(p, b);
      best.cost = cost_of(p, b, best.plane);
      store_state(p, b, best);
    }
  }
}

void propagate_row(const Problem& p, int y, const Round& round) {
  // Candidates: per direction the best pixel of a near wedge and of a far strip, all of the other colour.
  struct Offset {
    int dx, dy;
  };
  static const Offset kNear[4][4] = {{{-1, 0}, {-2, -1}, {-2, 1}, {-3, 0}},
                                     {{1, 0}, {2, -1}, {2, 1}, {3, 0}},
                                     {{0, -1}, {-1, -2}, {1, -2}, {0, -3}},
                                     {{0, 1}, {-1, 2}, {1, 2}, {0, 3}}};
  static const Offset kFar[4] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
  const int parity = (y + round.colour) & 1;
  for (int first = parity; first < p.width; first += 2 * kLanes) {
    const Batch b = make_batch(p, y, first);
    Best best = load_state(p, b);
    const auto candidate = [&](int direction, bool far) {
      Plane plane = best.plane;
      for (int l = 0; l < kLanes; ++l) {
        if (!b.inside[l]) continue;
        const int x = first + 2 * l;
        float lowest = 1e9f;
        int64_t chosen = -1;
        int cdx = 0, cdy = 0;
        const auto look = [&](int dx, int dy) {
          const int nx = x + dx, ny = y + dy;
          if (nx < 0 || ny < 0 || nx >= p.width || ny >= p.height) return;
          const int64_t i = int64_t(ny) * p.width + nx;
          if (!p.mask[i] || p.cost[i] >= lowest) return;
          lowest = p.cost[i];
          chosen = i;
          cdx = dx;
          cdy = dy;
        };
        if (far) {
          for (int d = 5; d <= 21; d += 4) look(kFar[direction].dx * d, kFar[direction].dy * d);
        } else {
          for (const Offset& o : kNear[direction]) look(o.dx, o.dy);
        }
        if (chosen < 0) continue;
        plane.gx[l] = p.gradient_x[chosen];
        plane.gy[l] = p.gradient_y[chosen];
        plane.inverse[l] = p.inverse[chosen] - cdx * plane.gx[l] - cdy * plane.gy[l];
      }
      consider(p, b, plane, best);
    };
    for (int direction = 0; direction < 4; ++direction) {
      candidate(direction, false);
      candidate(direction, true);
    }
    // Perturbations: depth alone, normal alone, both, and while exploring a random plane.
    for (int kind = 0; kind < (round.explore ? 4 : 3); ++kind) {
      Plane plane = best.plane;
      for (int l = 0; l < kLanes; ++l) {
        if (!b.inside[l]) continue;
        Random random = random_of(p, first + 2 * l, y, round.round, kind);
        const float r0 = random.symmetric(), r1 = random.symmetric(), r2 = random.symmetric();
        const float before = plane.inverse[l];
        if (kind == 3) {
          plane.inverse[l] = p.inverse_min + (p.inverse_max - p.inverse_min) * (0.5f + 0.5f * r0);
          set_slopes(p, b, l, r1, r2, plane);
          continue;
        }
        if (kind != 1) plane.inverse[l] = before + round.inverse_step * r0;
        if (plane.inverse[l] <= 0) continue;
        if (kind != 0) {
          // The present slopes about the ray, then a random step: the inverse of set_slopes.
          const float xn = (b.x[l] - p.cx) / p.fx, yn = (b.yf[l] - p.cy) / p.fy;
          const float a = plane.gx[l] * p.fx, c = plane.gy[l] * p.fy;
          const float at_axis = before - a * xn - c * yn;
          if (at_axis <= 1e-3f * before) {
            set_slopes(p, b, l, 2 * r1, 2 * r2, plane);
            continue;
          }
          set_slopes(p, b, l, a / at_axis - xn + 2 * round.slope * r1, c / at_axis - yn + 2 * round.slope * r2, plane);
        }
      }
      consider(p, b, plane, best);
    }
    store_state(p, b, best);
  }
}

}  // namespace fewview::depth::FEWVIEW_ISA
