// Eight pixels at once. GCC and Clang lower these vector types to what the instruction set has (one AVX2 register,
// or two of SSE or NEON), so one source serves every build.
#pragma once

#include <cstdint>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// The vectors never cross a library boundary, so their calling convention is of no concern.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace fewview::depth::FEWVIEW_ISA {

constexpr int kLanes = 8;
typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));

inline Floats splat(float x) { return Floats{x, x, x, x, x, x, x, x}; }
inline Ints splat_int(int32_t x) { return Ints{x, x, x, x, x, x, x, x}; }
inline Floats select(Ints mask, Floats yes, Floats no) {
  return reinterpret_cast<Floats>((mask & reinterpret_cast<Ints>(yes)) | (~mask & reinterpret_cast<Ints>(no)));
}
inline Floats minimum(Floats a, Floats b) { return select(a < b, a, b); }
inline Floats maximum(Floats a, Floats b) { return select(a > b, a, b); }
inline Floats clamp(Floats x, Floats lo, Floats hi) { return minimum(maximum(x, lo), hi); }
inline Floats to_floats(Ints x) { return __builtin_convertvector(x, Floats); }
inline Ints truncate(Floats x) { return __builtin_convertvector(x, Ints); }
inline Floats load(const float* p) {
  Floats out;
  __builtin_memcpy(&out, p, sizeof(out));
  return out;
}
inline Floats square_root(Floats x) {
#if defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
#else
  Floats out;
  for (int i = 0; i < kLanes; ++i) out[i] = __builtin_sqrtf(x[i]);
  return out;
#endif
}
inline Words gather(const uint32_t* table, Ints index) {
#if defined(__AVX2__)
  return reinterpret_cast<Words>(
      _mm256_i32gather_epi32(reinterpret_cast<const int*>(table), reinterpret_cast<__m256i>(index), 4));
#else
  Words out;
  for (int i = 0; i < kLanes; ++i) out[i] = table[index[i]];
  return out;
#endif
}
inline Floats gather(const float* table, Ints index) {
#if defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_i32gather_ps(table, reinterpret_cast<__m256i>(index), 4));
#else
  Floats out;
  for (int i = 0; i < kLanes; ++i) out[i] = table[index[i]];
  return out;
#endif
}

// exp(-x) for x >= 0 to a few per cent, falling to exactly 0 at x = 16: enough for window weights.
inline Floats exp_negative(Floats x) {
  Floats y = maximum(1.0f - x * (1.0f / 16), splat(0));
  y = y * y;
  y = y * y;
  y = y * y;
  return y * y;
}

}  // namespace fewview::depth::FEWVIEW_ISA
