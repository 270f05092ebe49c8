// Projection of Gaussians to the image and its gradient, several Gaussians at once (one per lane).
#include "splatting/native/harmonics.hpp"
#include "splatting/native/kernels.hpp"
#include "splatting/native/simd.hpp"

namespace fewview::splatting::FEWVIEW_ISA {

namespace {

constexpr float kHalfLog2e = 0.72134752f;
constexpr float kTwoLn2 = 1.38629436f;
constexpr float kLargestDeterminant = 1e36f;

// Component 0 of `n` Gaussians that lie `stride` floats apart; lanes past the end repeat the last one.
inline Floats gather(const float* p, int64_t stride, int n) {
  Floats v;
  if (n == kLanes) {
    for (int i = 0; i < kLanes; ++i) v[i] = p[i * stride];
  } else {
    for (int i = 0; i < kLanes; ++i) v[i] = p[(i < n ? i : n - 1) * stride];
  }
  return v;
}
inline void scatter(float* p, int64_t stride, int n, Floats v) {
  if (n == kLanes) {
    for (int i = 0; i < kLanes; ++i) p[i * stride] = v[i];
  } else {
    for (int i = 0; i < n; ++i) p[i * stride] = v[i];
  }
}

// All ones where x is NaN or infinite.
inline Ints not_finite(Floats x) { return (bits(x) & 0x7f800000) == 0x7f800000; }

// Everything between the parameters and a Record that the backward pass needs again.
struct Projection {
  Floats m[3], p[3], iz;            // mean in the world and in the camera, 1 / z
  Floats s[3], q[4], iq, axes[9];   // scales, unit quaternion and its former 1 / norm, rotation (row major)
  Floats u0, v0, u, v;              // x/z, y/z, before and after the clamp of the Jacobian
  Ints free_u, free_v;              // not clamped
  Floats J00, J02, J11, J12, T[6], TR[6], M[6];  // J, J W, J W R, J W R S
  Floats cross[3], det, a, b, c, det_blurred;    // M0 x M1, det M M^T, covariance with blur
  Floats opacity, shown;            // without and with the compensation
  Floats dir[3], iaway, basis[16], color[3];     // colour before the clamp at 0
  Ints thin[3], flip;               // which axis is the normal, and its sign bit
  Ints visible;
};

template <int kDegree>
inline int forward(const Scene& scene, const View& view, int64_t i, int n, Projection& o) {
  Ints bad[5] = {};
  for (int k = 0; k < 3; ++k) {
    o.m[k] = gather(scene.means + 3 * i + k, 3, n);
    bad[0] |= not_finite(o.m[k]);
  }
  const float *R = view.R, *t = view.t;
  for (int r = 0; r < 3; ++r) o.p[r] = R[3 * r] * o.m[0] + R[3 * r + 1] * o.m[1] + R[3 * r + 2] * o.m[2] + t[r];
  o.visible = o.p[2] > view.near;
  o.iz = 1.f / select(o.visible, o.p[2], splat(1.f));

  Floats norm2 = {};
  for (int k = 0; k < 4; ++k) {
    o.q[k] = gather(scene.quats + 4 * i + k, 4, n);
    bad[1] |= not_finite(o.q[k]);
    norm2 += o.q[k] * o.q[k];
  }
  // Under 1e-24 the torch reference, too, gives up normalising.
  o.visible &= norm2 > 1e-24f;
  o.iq = 1.f / square_root(select(norm2 > 1e-24f, norm2, splat(1.f)));
  for (int k = 0; k < 4; ++k) o.q[k] *= o.iq;
  const Floats w = o.q[0], x = o.q[1], y = o.q[2], z = o.q[3];
  o.axes[0] = 1.f - 2.f * (y * y + z * z);
  o.axes[1] = 2.f * (x * y - w * z);
  o.axes[2] = 2.f * (x * z + w * y);
  o.axes[3] = 2.f * (x * y + w * z);
  o.axes[4] = 1.f - 2.f * (x * x + z * z);
  o.axes[5] = 2.f * (y * z - w * x);
  o.axes[6] = 2.f * (x * z - w * y);
  o.axes[7] = 2.f * (y * z + w * x);
  o.axes[8] = 1.f - 2.f * (x * x + y * y);

  Floats log_scale[3];
  for (int k = 0; k < 3; ++k) {
    log_scale[k] = gather(scene.log_scales + 3 * i + k, 3, n);
    bad[2] |= not_finite(log_scale[k]);
    o.s[k] = exponential(log_scale[k]);
  }

  const float margin_u = 0.15f * view.width / view.fx, margin_v = 0.15f * view.height / view.fy;
  o.u0 = o.p[0] * o.iz;
  o.v0 = o.p[1] * o.iz;
  o.u = minimum(maximum(o.u0, splat(-view.cx / view.fx - margin_u)),
                splat((view.width - view.cx) / view.fx + margin_u));
  o.v = minimum(maximum(o.v0, splat(-view.cy / view.fy - margin_v)),
                splat((view.height - view.cy) / view.fy + margin_v));
  o.free_u = o.u == o.u0;
  o.free_v = o.v == o.v0;
  o.J00 = view.fx * o.iz;
  o.J11 = view.fy * o.iz;
  o.J02 = -o.J00 * o.u;
  o.J12 = -o.J11 * o.v;
  for (int k = 0; k < 3; ++k) {
    o.T[k] = o.J00 * R[k] + o.J02 * R[6 + k];
    o.T[3 + k] = o.J11 * R[3 + k] + o.J12 * R[6 + k];
  }
  for (int r = 0; r < 2; ++r)
    for (int k = 0; k < 3; ++k) {
      o.TR[3 * r + k] = o.T[3 * r] * o.axes[k] + o.T[3 * r + 1] * o.axes[3 + k] + o.T[3 * r + 2] * o.axes[6 + k];
      o.M[3 * r + k] = o.TR[3 * r + k] * o.s[k];
    }
  const Floats* M = o.M;
  o.cross[0] = M[1] * M[5] - M[2] * M[4];
  o.cross[1] = M[2] * M[3] - M[0] * M[5];
  o.cross[2] = M[0] * M[4] - M[1] * M[3];
  // Cauchy-Binet: a sum of squares, so nothing cancels where the ellipse is a needle.
  o.det = o.cross[0] * o.cross[0] + o.cross[1] * o.cross[1] + o.cross[2] * o.cross[2];
  const Floats sharp_a = M[0] * M[0] + M[1] * M[1] + M[2] * M[2], sharp_c = M[3] * M[3] + M[4] * M[4] + M[5] * M[5];
  o.b = M[0] * M[3] + M[1] * M[4] + M[2] * M[5];
  o.a = sharp_a + kBlur;
  o.c = sharp_c + kBlur;
  o.det_blurred = o.det + kBlur * (sharp_a + sharp_c) + kBlur * kBlur;
  o.visible &= o.det_blurred < kLargestDeterminant;

  const Floats logit = gather(scene.logit_opacities + i, 1, n);
  bad[3] |= not_finite(logit);
  o.opacity = 1.f / (1.f + exponential(-logit));
  o.shown = o.opacity;
  if (view.antialiased) o.shown *= square_root(o.det / o.det_blurred);
  o.visible &= o.shown >= kAlphaMin;

  Floats away[3], away2 = {};
  for (int k = 0; k < 3; ++k) {
    away[k] = o.m[k] + (R[k] * t[0] + R[3 + k] * t[1] + R[6 + k] * t[2]);
    away2 += away[k] * away[k];
  }
  o.iaway = 1.f / square_root(select(o.visible, away2, splat(1.f)));
  for (int k = 0; k < 3; ++k) o.dir[k] = away[k] * o.iaway;
  harmonics(kDegree, o.dir[0], o.dir[1], o.dir[2], o.basis);
  const int64_t row = 3 * scene.coefficients;
  for (int c = 0; c < 3; ++c) o.color[c] = splat(0.5f);
  for (int k = 0; k < (kDegree + 1) * (kDegree + 1); ++k)
    for (int c = 0; c < 3; ++c) {
      const Floats sh = gather(scene.sh + i * row + 3 * k + c, row, n);
      bad[4] |= not_finite(sh);
      o.color[c] += o.basis[k] * sh;
    }

  if (view.normals) {
    o.thin[0] = (log_scale[0] <= log_scale[1]) & (log_scale[0] <= log_scale[2]);
    o.thin[1] = ~o.thin[0] & (log_scale[1] <= log_scale[2]);
    o.thin[2] = ~(o.thin[0] | o.thin[1]);
  }
  int code = 0;
  for (int k = 0; k < 5; ++k) code |= any(bad[k]) ? 1 << k : 0;
  return code;
}

// The thinnest axis, world frame.
inline void thin_axis(const Projection& o, Floats* axis) {
  for (int r = 0; r < 3; ++r)
    axis[r] = keep(o.thin[0], o.axes[3 * r]) + keep(o.thin[1], o.axes[3 * r + 1]) + keep(o.thin[2], o.axes[3 * r + 2]);
}

// Turns the normal towards the camera: returns the sign bit to flip.
inline Ints camera_normal(const View& view, const Projection& o, const Floats* axis, Floats* normal) {
  for (int r = 0; r < 3; ++r)
    normal[r] = view.R[3 * r] * axis[0] + view.R[3 * r + 1] * axis[1] + view.R[3 * r + 2] * axis[2];
  const Ints flip = (normal[0] * o.p[0] + normal[1] * o.p[1] + normal[2] * o.p[2] > 0.f) & INT32_MIN;
  for (int r = 0; r < 3; ++r) normal[r] = floats(bits(normal[r]) ^ flip);
  return flip;
}

template <int kDegree>
int project_degree(const Scene& scene, const View& view, int64_t begin, int64_t end, Record* records) {
  int code = 0;
  for (int64_t i = begin; i < end; i += kLanes) {
    const int n = end - i < kLanes ? int(end - i) : kLanes;
    Projection o;
    code |= forward<kDegree>(scene, view, i, n, o);
    const Floats level = log2_positive(select(o.visible, o.shown, splat(1.f)));
    const Floats reach2 = (level - kLog2AlphaMin) * kTwoLn2;
    const Floats x0 = view.fx * o.u0 + view.cx, y0 = view.fy * o.v0 + view.cy;
    const Floats reach_x = square_root(reach2 * o.a), reach_y = square_root(reach2 * o.c);
    const Ints shown = o.visible & (x0 + reach_x >= 0.5f) & (x0 - reach_x <= view.width - 0.5f) &
                       (y0 + reach_y >= 0.5f) & (y0 - reach_y <= view.height - 0.5f);
    Floats out[16] = {x0, y0, o.b / o.c, -kHalfLog2e * o.c / o.det_blurred, -kHalfLog2e / o.c, level};
    for (int c = 0; c < 3; ++c) out[6 + c] = maximum(o.color[c], splat(0.f));
    out[9] = o.p[2];
    if (view.normals) {
      Floats axis[3];
      thin_axis(o, axis);
      camera_normal(view, o, axis, out + 10);
    }
    out[13] = reach_x;
    out[14] = select(shown, reach_y, splat(-1.f));
    out[15] = o.det_blurred / (kHalfLog2e * o.c);
    for (int k = 0; k < 16; ++k) scatter(reinterpret_cast<float*>(records + i) + k, 16, n, out[k]);
  }
  return code;
}

// View sums of one block, kept in lanes until the block's end.
struct ViewSums {
  Floats W[9], t[3], k[4];
};

template <int kDegree>
inline void backward(const Scene& scene, const View& view, int64_t i, int n, Ints shown, const Floats* g,
                     const SceneGradients& out, ViewSums& sums) {
  constexpr int kUsed = (kDegree + 1) * (kDegree + 1);
  Projection o;
  forward<kDegree>(scene, view, i, n, o);
  const float *R = view.R, *t = view.t;
  const Floats zero = {};

  // Moments of v = dL/d ln alpha over pixels, about the sheared axes, to the ellipse (see Record).
  const Floats m0 = g[0], mx = g[1], my = g[2], mxx = g[3], mxy = g[4], myy = g[5];
  const Floats alpha_x = o.c / o.det_blurred, alpha_y = 1.f / o.c, slope = o.b * alpha_y;
  const Floats g_x0 = alpha_x * mx, g_y0 = alpha_y * my - slope * g_x0;
  const Floats g_alpha_x = -0.5f * mxx, g_alpha_y = -0.5f * myy, g_slope = alpha_x * mxy;
  const Floats g_a = -alpha_x * alpha_x * g_alpha_x;
  const Floats g_b = -2.f * slope * g_a + alpha_y * g_slope;
  const Floats g_c = slope * slope * g_a - alpha_y * (alpha_y * g_alpha_y + slope * g_slope);

  Floats gM[6];
  for (int k = 0; k < 3; ++k) {
    gM[k] = 2.f * g_a * o.M[k] + g_b * o.M[3 + k];
    gM[3 + k] = g_b * o.M[k] + 2.f * g_c * o.M[3 + k];
  }
  if (view.antialiased) {
    // ln compensation = (ln det - ln det_blurred) / 2, and det_blurred = det + blur * trace + blur^2.
    const Floats g_trace = -0.5f * kBlur * m0 / o.det_blurred;
    const Floats g_det = 0.5f * m0 / o.det - 0.5f * m0 / o.det_blurred;
    const Floats *A = o.M, *B = o.M + 3, *C = o.cross;
    gM[0] += 2.f * (g_det * (B[1] * C[2] - B[2] * C[1]) + g_trace * A[0]);
    gM[1] += 2.f * (g_det * (B[2] * C[0] - B[0] * C[2]) + g_trace * A[1]);
    gM[2] += 2.f * (g_det * (B[0] * C[1] - B[1] * C[0]) + g_trace * A[2]);
    gM[3] += 2.f * (g_det * (C[1] * A[2] - C[2] * A[1]) + g_trace * B[0]);
    gM[4] += 2.f * (g_det * (C[2] * A[0] - C[0] * A[2]) + g_trace * B[1]);
    gM[5] += 2.f * (g_det * (C[0] * A[1] - C[1] * A[0]) + g_trace * B[2]);
  }
  scatter(out.logit_opacities + i, 1, n, keep(shown, m0 * (1.f - o.opacity)));

  // M = T axes S.
  Floats gT[6] = {}, g_axes[9];
  for (int k = 0; k < 3; ++k) {
    const Floats g_log_scale = gM[k] * o.M[k] + gM[3 + k] * o.M[3 + k];
    scatter(out.log_scales + 3 * i + k, 3, n, keep(shown, g_log_scale));
    const Floats h0 = gM[k] * o.s[k], h1 = gM[3 + k] * o.s[k];
    for (int r = 0; r < 3; ++r) {
      g_axes[3 * r + k] = h0 * o.T[r] + h1 * o.T[3 + r];
      gT[r] += h0 * o.axes[3 * r + k];
      gT[3 + r] += h1 * o.axes[3 * r + k];
    }
  }
  Floats gW[9] = {};
  if (view.normals) {
    Floats axis[3], normal[3];
    thin_axis(o, axis);
    const Ints flip = camera_normal(view, o, axis, normal);
    Floats gn[3];
    for (int r = 0; r < 3; ++r) gn[r] = floats(bits(g[10 + r]) ^ flip);
    for (int c = 0; c < 3; ++c) {
      const Floats g_axis = R[c] * gn[0] + R[3 + c] * gn[1] + R[6 + c] * gn[2];
      for (int k = 0; k < 3; ++k) g_axes[3 * c + k] += keep(o.thin[k], g_axis);
      for (int r = 0; r < 3; ++r) gW[3 * r + c] += gn[r] * axis[c];
    }
  }

  const Floats w = o.q[0], x = o.q[1], y = o.q[2], z = o.q[3];
  const Floats* G = g_axes;
  Floats gq[4] = {2.f * (x * (G[7] - G[5]) + y * (G[2] - G[6]) + z * (G[3] - G[1])),
                  2.f * (y * (G[1] + G[3]) + z * (G[2] + G[6]) + w * (G[7] - G[5])) - 4.f * x * (G[4] + G[8]),
                  2.f * (x * (G[1] + G[3]) + z * (G[5] + G[7]) + w * (G[2] - G[6])) - 4.f * y * (G[0] + G[8]),
                  2.f * (x * (G[2] + G[6]) + y * (G[5] + G[7]) + w * (G[3] - G[1])) - 4.f * z * (G[0] + G[4])};
  const Floats radial = gq[0] * w + gq[1] * x + gq[2] * y + gq[3] * z;
  for (int k = 0; k < 4; ++k)
    scatter(out.quats + 4 * i + k, 4, n, keep(shown, (gq[k] - radial * o.q[k]) * o.iq));

  // T = J W, J and the projected mean to the point in the camera.
  Floats gJ00 = zero, gJ02 = zero, gJ11 = zero, gJ12 = zero;
  for (int k = 0; k < 3; ++k) {
    gJ00 += gT[k] * R[k];
    gJ02 += gT[k] * R[6 + k];
    gJ11 += gT[3 + k] * R[3 + k];
    gJ12 += gT[3 + k] * R[6 + k];
    gW[k] += o.J00 * gT[k];
    gW[3 + k] += o.J11 * gT[3 + k];
    gW[6 + k] += o.J02 * gT[k] + o.J12 * gT[3 + k];
  }
  const Floats gu = -o.J00 * gJ02, gv = -o.J11 * gJ12;  // by the clamped ratios
  const Floats gu0 = view.fx * g_x0 + keep(o.free_u, gu), gv0 = view.fy * g_y0 + keep(o.free_v, gv);
  Floats gp[3] = {gu0 * o.iz, gv0 * o.iz,
                  g[9] - o.iz * (gu0 * o.u0 + gv0 * o.v0 + gJ00 * o.J00 + gJ02 * o.J02 + gJ11 * o.J11 + gJ12 * o.J12)};
  // A clamped ratio is a bound, (principal point + margin) / focal, and so depends on the intrinsics.
  const Floats bound_u = keep(~o.free_u, gu) / view.fx, bound_v = keep(~o.free_v, gv) / view.fy;
  sums.k[0] += keep(shown, g_x0 * o.u0 + (gJ00 - gJ02 * o.u) * o.iz - bound_u * o.u);
  sums.k[1] += keep(shown, g_y0 * o.v0 + (gJ11 - gJ12 * o.v) * o.iz - bound_v * o.v);
  sums.k[2] += keep(shown, g_x0 - bound_u);
  sums.k[3] += keep(shown, g_y0 - bound_v);

  // Colour to the harmonics and to the viewing direction.
  const int64_t row = 3 * scene.coefficients;
  Floats gc[3], g_basis[16];
  for (int c = 0; c < 3; ++c) gc[c] = keep(shown & (o.color[c] >= 0.f), g[6 + c]);
  for (int k = 0; k < kUsed; ++k) {
    g_basis[k] = zero;
    for (int c = 0; c < 3; ++c) {
      if (kDegree > 0) g_basis[k] += gc[c] * gather(scene.sh + i * row + 3 * k + c, row, n);
      scatter(out.sh + i * row + 3 * k + c, row, n, keep(shown, gc[c] * o.basis[k]));
    }
  }
  for (int64_t k = 3 * kUsed; k < row; ++k) scatter(out.sh + i * row + k, row, n, zero);
  Floats gm[3] = {};
  if (kDegree > 0) {
    Floats gd[3] = {};
    harmonics_backward(kDegree, o.dir[0], o.dir[1], o.dir[2], g_basis, gd[0], gd[1], gd[2]);
    const Floats along = gd[0] * o.dir[0] + gd[1] * o.dir[1] + gd[2] * o.dir[2];
    for (int k = 0; k < 3; ++k) {
      gm[k] = (gd[k] - along * o.dir[k]) * o.iaway;
      // The direction is m + R^T t.
      for (int r = 0; r < 3; ++r) gW[3 * r + k] += t[r] * gm[k];
    }
    for (int r = 0; r < 3; ++r)
      sums.t[r] += keep(shown, R[3 * r] * gm[0] + R[3 * r + 1] * gm[1] + R[3 * r + 2] * gm[2]);
  }

  for (int k = 0; k < 3; ++k) {
    gm[k] += R[k] * gp[0] + R[3 + k] * gp[1] + R[6 + k] * gp[2];
    scatter(out.means + 3 * i + k, 3, n, keep(shown, gm[k]));
    sums.t[k] += keep(shown, gp[k]);
    for (int r = 0; r < 3; ++r) sums.W[3 * r + k] += keep(shown, gW[3 * r + k] + gp[r] * o.m[k]);
  }
}

template <int kDegree>
void project_backward_degree(const Scene& scene, const View& view, const int32_t* offsets, const float* slots,
                             int64_t begin, int64_t end, const SceneGradients& out,
                             double* view_sums) {
  ViewSums sums = {};
  const int64_t row = 3 * scene.coefficients;
  for (int64_t i = begin; i < end; i += kLanes) {
    const int n = end - i < kLanes ? int(end - i) : kLanes;
    Ints shown = {};
    alignas(64) float totals[kLanes][kSlot];
    for (int l = 0; l < kLanes; ++l) {
      Floats total[kSlot / kLanes] = {};
      if (l < n && offsets[i + l + 1] > offsets[i + l]) {
        shown[l] = -1;
        for (int32_t s = offsets[i + l]; s < offsets[i + l + 1]; ++s)
          for (int k = 0; k < kSlot / kLanes; ++k) total[k] += load(slots + int64_t(s) * kSlot + k * kLanes);
      }
      for (int k = 0; k < kSlot / kLanes; ++k) store(totals[l] + k * kLanes, total[k]);
    }
    if (!any(shown)) {
      __builtin_memset(out.means + 3 * i, 0, n * 3 * sizeof(float));
      __builtin_memset(out.quats + 4 * i, 0, n * 4 * sizeof(float));
      __builtin_memset(out.log_scales + 3 * i, 0, n * 3 * sizeof(float));
      __builtin_memset(out.logit_opacities + i, 0, n * sizeof(float));
      __builtin_memset(out.sh + row * i, 0, n * row * sizeof(float));
      continue;
    }
    Floats g[kSlot];
    for (int k = 0; k < kSlot; ++k) g[k] = gather(totals[0] + k, kSlot, kLanes);
    backward<kDegree>(scene, view, i, n, shown, g, out, sums);
  }
  for (int k = 0; k < 9; ++k) view_sums[(k / 3) * 4 + k % 3] = sum(sums.W[k]);
  for (int k = 0; k < 3; ++k) view_sums[k * 4 + 3] = sum(sums.t[k]);
  for (int k = 0; k < 4; ++k) view_sums[12 + k] = sum(sums.k[k]);
}

}  // namespace

int project(const Scene& scene, const View& view, int64_t begin, int64_t end, Record* records) {
  switch (view.degree) {
    case 0: return project_degree<0>(scene, view, begin, end, records);
    case 1: return project_degree<1>(scene, view, begin, end, records);
    case 2: return project_degree<2>(scene, view, begin, end, records);
    default: return project_degree<3>(scene, view, begin, end, records);
  }
}

void project_backward(const Scene& scene, const View& view, const int32_t* offsets, const float* slots,
                      int64_t begin, int64_t end, const SceneGradients& out, double* view_sums) {
  switch (view.degree) {
    case 0: return project_backward_degree<0>(scene, view, offsets, slots, begin, end, out, view_sums);
    case 1: return project_backward_degree<1>(scene, view, offsets, slots, begin, end, out, view_sums);
    case 2: return project_backward_degree<2>(scene, view, offsets, slots, begin, end, out, view_sums);
    default: return project_backward_degree<3>(scene, view, offsets, slots, begin, end, out, view_sums);
  }
}

}  // namespace fewview::splatting::FEWVIEW_ISA
