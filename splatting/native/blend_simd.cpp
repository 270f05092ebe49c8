// Blending of one tile, front to back, and its gradient.
//
// A Gaussian is walked row by row over just the pixels it can reach, so vectors start anywhere in a row and hardly
// a lane is wasted on small Gaussians. The state of a tile's pixels lies in the first-level cache, all channels of
// a row side by side. Rows are padded by one vector that holds stopped pixels, so that no vector needs a tail.
//
// A pixel that has stopped keeps its transmittance with the sign bit set: the flag is sticky and costs no memory.
#include "splatting/native/kernels.hpp"
#include "splatting/native/simd.hpp"

namespace fewview::splatting::FEWVIEW_ISA {

namespace {

constexpr int kStride = kTileWidth + kLanes;
constexpr int kRowsPadded = kTileHeight + kLanes;
constexpr int kSweep = 32;   // Gaussians between two searches for pixels that are still open
constexpr int kAhead = 12;    // entries to prefetch
constexpr float kMargin = 0.01f;  // px; rounding of a row's ends must never lose a pixel

// Which pixels of each row of a tile are still open: [first, last].
struct Open {
  int32_t first[kRowsPadded], last[kRowsPadded];
};

#if defined(__AVX2__)
// For each mask of eight lanes, the chosen ones first.
struct Table {
  uint8_t lane[256][8];
  constexpr Table() : lane() {
    for (int mask = 0; mask < 256; ++mask) {
      int n = 0;
      for (int l = 0; l < 8; ++l)
        if (mask >> l & 1) lane[mask][n++] = uint8_t(l);
    }
  }
};
constexpr Table kChosenFirst;
#endif

// The vectors of pixels that a Gaussian reaches in a tile: where in the state each begins, and the Gaussian there.
// The exponent at lane i is base + bend_x * (origin + i)^2.
struct Runs {
  static constexpr int kMost = kRowsPadded * (kTileWidth / kLanes + 1) + kLanes;
  int32_t count;
  int32_t at[kMost];
  float origin[kMost], base[kMost], dy[kMost];

  // Appends the lanes in the mask, without a branch: no predictor guesses which rows are long.
  void append(Ints mask, Ints at_, Floats origin_, Floats base_, Floats dy_) {
#if defined(__AVX2__)
    const int chosen = _mm256_movemask_ps(reinterpret_cast<__m256>(mask));
    const __m256i order =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kChosenFirst.lane[chosen])));
    const auto packed = [&](Floats v) {
      return reinterpret_cast<Floats>(_mm256_permutevar8x32_ps(reinterpret_cast<__m256>(v), order));
    };
    store(at + count, bits(packed(floats(at_))));
    store(origin + count, packed(origin_));
    store(base + count, packed(base_));
    store(dy + count, packed(dy_));
    count += __builtin_popcount(chosen);
#else
    for (int l = 0; l < kLanes; ++l) {
      at[count] = at_[l];
      origin[count] = origin_[l];
      base[count] = base_[l];
      dy[count] = dy_[l];
      count += mask[l] & 1;
    }
#endif
  }
};

inline int floor_clamped(float x, int most) {
  x = x < 0.f ? 0.f : x;
  return x > float(most) ? most : int(x);
}

inline void find_runs(const Record& g, float tile_x, float tile_y, const Open& open, int row_floats, Runs& runs) {
  // A row is reached where |row + 0.5 - y| <= reach_y, give or take the margin.
  const float y = g.y0 - tile_y;
  const int begin = floor_clamped(y - g.reach_y + 0.5f - kMargin, kTileHeight);
  const int end = floor_clamped(y + g.reach_y + 0.5f + kMargin, kTileHeight);
  const float x = g.x0 - tile_x;
  runs.count = 0;
  for (int r = begin; r < end; r += kLanes) {
    const Ints row = lane_index() + r;
    const Floats dy = to_floats(row) + (0.5f - y);
    const Floats base = g.log_opacity + g.bend_y * dy * dy;
    const Floats half = square_root(maximum((base - kLog2AlphaMin) * g.narrow, splat(0.f))) + kMargin;
    const Floats center = g.slope * dy + x;
    const Floats low = minimum(maximum(center - half + 0.5f, splat(0.f)), splat(float(kTileWidth)));
    const Floats high = minimum(maximum(center + half + 0.5f, splat(0.f)), splat(float(kTileWidth)));
    const Ints last = select(row < end, minimum(truncate(high) - 1, load(open.last + r)), splat(-1));
    Ints first = maximum(truncate(low), load(open.first + r));
    Floats origin = 0.5f - center + to_floats(first);
    Ints at = row * row_floats + first;
    runs.append(first <= last, at, origin, base, dy);
    do {
      first += kLanes;
      origin += float(kLanes);
      at += kLanes;
      runs.append(first <= last, at, origin, base, dy);
    } while (any(first + kLanes <= last));
  }
}

// Narrows `open` to the pixels with transmittance > 0; false when none is left.
inline bool sweep(const float* transmittance, int row_stride, Open& open) {
  bool alive = false;
  for (int r = 0; r < kTileHeight; ++r) {
    if (open.first[r] > open.last[r]) continue;
    const float* t = transmittance + r * row_stride;
    int first = open.first[r], last = open.last[r];
    while (first <= last && !(t[first] > 0.f)) ++first;
    while (last > first && !(t[last] > 0.f)) --last;
    open.first[r] = first;
    open.last[r] = last;
    alive |= first <= last;
  }
  return alive;
}

inline void open_all(int columns, int rows, Open& open) {
  for (int r = 0; r < kRowsPadded; ++r) {
    open.first[r] = 0;
    open.last[r] = r < rows ? columns - 1 : -1;
  }
}

// What a Gaussian does at one vector of pixels; the same arithmetic forwards and backwards.
struct Step {
  Floats alpha, weight, open_before, after;  // alpha is 0 where skipped
  Ints taken;                                // not stopped
};
inline Step step(Floats exponent, Floats transmittance) {
  Step s;
  const Ints seen = exponent >= kLog2AlphaMin;
  s.alpha = keep(seen, minimum(exp2_fast(exponent), splat(kAlphaMax)));
  s.open_before = maximum(transmittance, splat(0.f));
  s.weight = s.open_before * s.alpha;
  const Floats after = s.open_before - s.weight;
  s.taken = after >= kTransmittanceMin;
  s.weight = keep(s.taken, s.weight);
  s.after = select(s.taken, after, floats(bits(transmittance) | INT32_MIN));
  return s;
}

// kChannels: RGB, depth[, normal]. With kMedian one more holds the median depth.
template <int kChannels, bool kMedian>
void blend_tile(const View& view, const Record* records, const Entry* first, const Entry* last, int tile_x,
                int tile_y, const Images& out) {
  constexpr int kMaps = 1 + kChannels + (kMedian ? 1 : 0);
  constexpr int kRow = kMaps * kStride;
  const int columns = view.width - tile_x < kTileWidth ? view.width - tile_x : kTileWidth;
  const int lines = view.height - tile_y < kTileHeight ? view.height - tile_y : kTileHeight;
  alignas(64) float state[kTileHeight * kRow];
  for (int r = 0; r < kTileHeight; ++r) {
    float* row = state + r * kRow;
    for (int x = 0; x < kStride; ++x) row[x] = x < columns ? 1.f : -1.f;
    for (int x = kStride; x < kRow; ++x) row[x] = 0.f;
    if (kMedian)
      for (int x = 0; x < kStride; ++x) row[(kMaps - 1) * kStride + x] = __builtin_nanf("");
  }
  Open open;
  open_all(columns, lines, open);
  const Floats lanes = to_floats(lane_index());
  // The runs of the next Gaussian are listed before those of this one are blended: by then the processor knows how
  // many there are and need not guess when the loop ends.
  Runs buffers[2];
  Runs *runs = buffers, *ahead_runs = buffers + 1;
  if (first != last) find_runs(records[first->gaussian], float(tile_x), float(tile_y), open, kRow, *ahead_runs);
  int until_sweep = kSweep;
  for (const Entry* entry = first; entry != last; ++entry) {
    // Not in a function of its own: GCC 12 takes one that only prefetches for empty.
    const Entry& ahead = entry[last - entry > kAhead ? kAhead : 0];
    __builtin_prefetch(records + ahead.gaussian);
    if (--until_sweep == 0) {
      until_sweep = kSweep;
      if (!sweep(state, kRow, open)) break;
    }
    const Record& g = records[entry->gaussian];
    Runs* const listed = ahead_runs;
    ahead_runs = runs;
    runs = listed;
    if (entry + 1 != last) find_runs(records[entry[1].gaussian], float(tile_x), float(tile_y), open, kRow, *ahead_runs);
    Floats channel[kChannels];
    for (int c = 0; c < kChannels; ++c) channel[c] = splat(g.channels[c]);
    for (int i = 0; i < runs->count; ++i) {
      float* pixel = state + runs->at[i];
      const Floats dx = lanes + runs->origin[i];
      const Floats before = load(pixel);
      const Step s = step(runs->base[i] + g.bend_x * dx * dx, before);
      store(pixel, s.after);
      for (int c = 0; c < kChannels; ++c) {
        float* p = pixel + (1 + c) * kStride;
        store(p, load(p) + s.weight * channel[c]);
      }
      if (kMedian) {
        float* p = pixel + (kMaps - 1) * kStride;
        const Ints passes = (before > 0.5f) & s.taken & (s.after <= 0.5f);
        store(p, select(passes, splat(g.channels[3]), load(p)));
      }
    }
  }
  for (int r = 0; r < lines; ++r) {
    const float* row = state + r * kRow;
    const int64_t at = int64_t(tile_y + r) * view.width + tile_x;
    for (int x = 0; x < columns; ++x) {
      const float left = __builtin_fabsf(row[x]);
      for (int c = 0; c < 3; ++c)
        out.image[3 * (at + x) + c] = row[(1 + c) * kStride + x] + left * view.background[c];
      out.alpha[at + x] = 1.f - left;
      out.depth[at + x] = row[4 * kStride + x];
      if (kChannels == 7)
        for (int c = 0; c < 3; ++c) out.normal[3 * (at + x) + c] = row[(5 + c) * kStride + x];
      if (kMedian) out.median[at + x] = row[(kMaps - 1) * kStride + x];
    }
  }
}

#if defined(__AVX2__)
// The sums of eight vectors, in one.
inline Floats sums(const Floats* v) {
  const auto h = [](Floats a, Floats b) {
    return reinterpret_cast<Floats>(_mm256_hadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
  };
  const Floats low = h(h(v[0], v[1]), h(v[2], v[3])), high = h(h(v[4], v[5]), h(v[6], v[7]));
  const __m256 a = reinterpret_cast<__m256>(low), b = reinterpret_cast<__m256>(high);
  return reinterpret_cast<Floats>(_mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
}
#else
inline Floats sums(const Floats* v) {
  Floats out;
  for (int i = 0; i < kLanes; ++i) out[i] = sum(v[i]);
  return out;
}
#endif

// The remaining colour of a pixel is needed only as its product with the gradient, so one number per pixel is
// enough: S = gradient . (what is still to come), from all at the start to nothing at the end.
template <int kChannels>
void blend_tile_backward(const View& view, const Record* records, const Entry* first, const Entry* last, int tile_x,
                         int tile_y, const Images& rendered, const ImageGradients& gradient, float* slots) {
  constexpr int kMaps = 3 + kChannels;  // transmittance, S, constant, gradient by channel
  constexpr int kRow = kMaps * kStride;
  const int columns = view.width - tile_x < kTileWidth ? view.width - tile_x : kTileWidth;
  const int lines = view.height - tile_y < kTileHeight ? view.height - tile_y : kTileHeight;
  alignas(64) float state[kTileHeight * kRow];
  for (int r = 0; r < kTileHeight; ++r) {
    float* row = state + r * kRow;
    for (int x = 0; x < kRow; ++x) row[x] = x < kStride ? -1.f : 0.f;
    if (r >= lines) continue;
    const int64_t at = int64_t(tile_y + r) * view.width + tile_x;
    float *rest = row + kStride, *constant = row + 2 * kStride;
    for (int x = 0; x < columns; ++x) row[x] = 1.f;
    if (gradient.alpha)
      for (int x = 0; x < columns; ++x) {
        constant[x] = gradient.alpha[at + x];
        rest[x] = gradient.alpha[at + x] * rendered.alpha[at + x];
      }
    if (gradient.depth)
      for (int x = 0; x < columns; ++x) {
        row[6 * kStride + x] = gradient.depth[at + x];
        rest[x] += gradient.depth[at + x] * rendered.depth[at + x];
      }
    for (int c = 0; c < 3; ++c)
      for (int x = 0; x < columns; ++x) {
        const float g = gradient.image[3 * (at + x) + c];
        row[(3 + c) * kStride + x] = g;
        constant[x] -= g * view.background[c];
        rest[x] += g * (rendered.image[3 * (at + x) + c] - view.background[c]);
      }
    if (kChannels == 7)
      for (int c = 0; c < 3; ++c)
        for (int x = 0; x < columns; ++x) {
          const float g = gradient.normal[3 * (at + x) + c];
          row[(7 + c) * kStride + x] = g;
          rest[x] += g * rendered.normal[3 * (at + x) + c];
        }
  }
  Open open;
  open_all(columns, lines, open);
  const Floats lanes = to_floats(lane_index());
  // The runs of the next Gaussian are listed before those of this one are blended: by then the processor knows how
  // many there are and need not guess when the loop ends.
  Runs buffers[2];
  Runs *runs = buffers, *ahead_runs = buffers + 1;
  if (first != last) find_runs(records[first->gaussian], float(tile_x), float(tile_y), open, kRow, *ahead_runs);
  int until_sweep = kSweep;
  const Entry* entry = first;
  for (; entry != last; ++entry) {
    // Not in a function of its own: GCC 12 takes one that only prefetches for empty.
    const Entry& ahead = entry[last - entry > kAhead ? kAhead : 0];
    __builtin_prefetch(records + ahead.gaussian);
    __builtin_prefetch(slots + int64_t(ahead.slot) * kSlot, 1);
    if (--until_sweep == 0) {
      until_sweep = kSweep;
      if (!sweep(state, kRow, open)) break;
    }
    const Record& g = records[entry->gaussian];
    Runs* const listed = ahead_runs;
    ahead_runs = runs;
    runs = listed;
    if (entry + 1 != last) find_runs(records[entry[1].gaussian], float(tile_x), float(tile_y), open, kRow, *ahead_runs);
    Floats channel[kChannels];
    for (int c = 0; c < kChannels; ++c) channel[c] = splat(g.channels[c]);
    // v, v dx, v dy, v dx dx, v dx dy, v dy dy with v = dL/d ln alpha, then the gradients by channel.
    Floats total[16] = {};
    for (int i = 0; i < runs->count; ++i) {
      float* pixel = state + runs->at[i];
      const Floats dx = lanes + runs->origin[i];
      const Floats exponent = runs->base[i] + g.bend_x * dx * dx;
      const Step s = step(exponent, load(pixel));
      store(pixel, s.after);
      Floats value = load(pixel + 2 * kStride);  // gradient . channels
      for (int c = 0; c < kChannels; ++c) {
        const Floats gradient_c = load(pixel + (3 + c) * kStride);
        value += gradient_c * channel[c];
        total[6 + c] += s.weight * gradient_c;
      }
      const Floats rest = load(pixel + kStride) - s.weight * value;
      store(pixel + kStride, rest);
      const Floats g_alpha = s.open_before * value - rest / (1.f - s.alpha);
      const Floats v = keep(s.taken & (exponent <= kLog2AlphaMax), s.alpha * g_alpha);
      const float dy = runs->dy[i];
      const Floats vx = v * dx, vy = v * dy;
      total[0] += v;
      total[1] += vx;
      total[2] += vy;
      total[3] += vx * dx;
      total[4] += vx * dy;
      total[5] += vy * dy;
    }
    float* slot = slots + int64_t(entry->slot) * kSlot;
    for (int k = 0; k < kSlot; k += kLanes) store(slot + k, sums(total + k));
  }
  for (; entry != last; ++entry) __builtin_memset(slots + int64_t(entry->slot) * kSlot, 0, kSlot * sizeof(float));
}

}  // namespace

void blend(const View& view, const Record* records, const Entry* first, const Entry* last, int tile_x, int tile_y,
           const Images& out) {
  if (view.normals) {
    view.median ? blend_tile<7, true>(view, records, first, last, tile_x, tile_y, out)
                : blend_tile<7, false>(view, records, first, last, tile_x, tile_y, out);
  } else {
    view.median ? blend_tile<4, true>(view, records, first, last, tile_x, tile_y, out)
                : blend_tile<4, false>(view, records, first, last, tile_x, tile_y, out);
  }
}

void blend_backward(const View& view, const Record* records, const Entry* first, const Entry* last, int tile_x,
                    int tile_y, const Images& rendered, const ImageGradients& gradient, float* slots) {
  if (view.normals)
    blend_tile_backward<7>(view, records, first, last, tile_x, tile_y, rendered, gradient, slots);
  else
    blend_tile_backward<4>(view, records, first, last, tile_x, tile_y, rendered, gradient, slots);
}

}  // namespace fewview::splatting::FEWVIEW_ISA
