// Short float vectors: 8 lanes where the instruction set has 256-bit registers, else 4 (SSE2, NEON). GCC and Clang
// lower the vector types themselves; intrinsics stand only where they do it badly.
//
// Everything lives in a namespace per instruction set, and `*_simd.cpp` files use no templates of the standard
// library: a function compiled for AVX2 must never be merged by the linker with its baseline twin.
#pragma once

#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// The vectors never cross a library boundary, so their calling convention is of no concern.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace fewview::splatting::FEWVIEW_ISA {

#if defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));

// Unaligned memory.
inline Floats load(const float* p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
inline Ints load(const int32_t* p) {
  Ints v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
// The first n lanes, zero beyond.
inline Floats load_some(const float* p, int n) {
  Floats v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
inline void store(float* p, Floats v) { __builtin_memcpy(p, &v, sizeof(v)); }
inline void store(int32_t* p, Ints v) { __builtin_memcpy(p, &v, sizeof(v)); }

inline Floats splat(float x) { return x - Floats{}; }
inline Ints splat(int32_t x) { return x - Ints{}; }
inline Ints lane_index() {
#if defined(__AVX2__)
  return Ints{0, 1, 2, 3, 4, 5, 6, 7};
#else
  return Ints{0, 1, 2, 3};
#endif
}

inline Ints bits(Floats x) { return reinterpret_cast<Ints>(x); }
inline Floats floats(Ints x) { return reinterpret_cast<Floats>(x); }
inline Floats to_floats(Ints x) { return __builtin_convertvector(x, Floats); }
inline Ints truncate(Floats x) { return __builtin_convertvector(x, Ints); }

// Masks have all bits of a lane set or none.
inline Floats keep(Ints mask, Floats x) { return floats(mask & bits(x)); }
inline Floats select(Ints mask, Floats yes, Floats no) {
#if defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_blendv_ps(reinterpret_cast<__m256>(no), reinterpret_cast<__m256>(yes),
                                                   reinterpret_cast<__m256>(mask)));
#else
  return floats((mask & bits(yes)) | (~mask & bits(no)));
#endif
}
inline Ints select(Ints mask, Ints yes, Ints no) { return (mask & yes) | (~mask & no); }
inline bool any(Ints mask) {
#if defined(__AVX2__)
  return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_ps(reinterpret_cast<__m128>(mask)) != 0;
#else
  int32_t all = 0;
  for (int i = 0; i < kLanes; ++i) all |= mask[i];
  return all != 0;
#endif
}

inline Floats minimum(Floats a, Floats b) {
#if defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_min_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<Floats>(_mm_min_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
  return select(a < b, a, b);
#endif
}
inline Floats maximum(Floats a, Floats b) {
#if defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<Floats>(_mm_max_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
  return select(a > b, a, b);
#endif
}
inline Ints minimum(Ints a, Ints b) { return select(a < b, a, b); }
inline Ints maximum(Ints a, Ints b) { return select(a > b, a, b); }
inline Floats absolute(Floats x) { return floats(bits(x) & 0x7fffffff); }
inline Floats square_root(Floats x) {
#if defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
#elif defined(__SSE2__)
  return reinterpret_cast<Floats>(_mm_sqrt_ps(reinterpret_cast<__m128>(x)));
#elif defined(__ARM_NEON) && defined(__aarch64__)
  return reinterpret_cast<Floats>(vsqrtq_f32(reinterpret_cast<float32x4_t>(x)));
#else
  Floats out;
  for (int i = 0; i < kLanes; ++i) out[i] = __builtin_sqrtf(x[i]);
  return out;
#endif
}

inline float sum(Floats v) {
  float s = 0;
  for (int i = 0; i < kLanes; ++i) s += v[i];
  return s;
}

// 2^x for x in [-126, 127]; relative error 1e-7. Other x give some bit pattern, never a trap.
inline Floats exp2_fast(Floats x) {
  const Floats shifted = x + 12582912.f;  // 1.5 * 2^23: the integer nearest to x ends up in the low bits
  const Floats f = x - (shifted - 12582912.f);
  Floats p = f * 1.3276472e-3f + 9.67554133e-3f;
  p = p * f + 5.55071327e-2f;
  p = p * f + 0.240221197f;
  p = p * f + 0.693146967f;
  p = p * f + 1.00000007f;
  return floats(bits(p) + (bits(shifted) << 23));
}

// e^x, correct to a few units in the last place; 0 under and very large over the range of float.
inline Floats exponential(Floats x) {
  x = minimum(maximum(x, splat(-87.f)), splat(88.f));
  const Floats shifted = x * 1.44269504f + 12582912.f;
  const Floats n = shifted - 12582912.f;
  const Floats f = ((x - n * 0.693359375f) + n * 2.12194440e-4f) * 1.44269504f;
  Floats p = f * 1.5345812e-4f + 1.33999312e-3f;
  p = p * f + 9.61848896e-3f;
  p = p * f + 5.55032878e-2f;
  p = p * f + 0.240226469f;
  p = p * f + 0.693147206f;
  p = p * f + 1.f;
  return floats(bits(p) + (bits(shifted) << 23));
}

// log2 of positive normal numbers, absolute error about 1e-7.
inline Floats log2_positive(Floats x) {
  // Mantissa in [sqrt(1/2), sqrt(2)): the constant is the bit pattern of sqrt(1/2).
  const Ints shifted = bits(x) - 0x3f3504f3;
  const Ints exponent = shifted >> 23;
  const Floats t = floats((shifted & 0x7fffff) + 0x3f3504f3) - 1.f;
  Floats p = t * -0.112974891f + 0.187826701f;
  p = p * t - 0.190612643f;
  p = p * t + 0.204296016f;
  p = p * t - 0.239636583f;
  p = p * t + 0.288585271f;
  p = p * t - 0.360696424f;
  p = p * t + 0.480897901f;
  p = p * t - 0.721347352f;
  p = p * t + 1.44269504f;
  return p * t + to_floats(exponent);
}

}  // namespace fewview::splatting::FEWVIEW_ISA
