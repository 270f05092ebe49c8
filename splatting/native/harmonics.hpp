// Real spherical harmonics to degree 3 in the order and with the signs of 3DGS, and their gradients by direction.
#pragma once

#include "simd.hpp"

namespace fewview::splatting::FEWVIEW_ISA {

constexpr float kC0 = 0.28209479177387814f, kC1 = 0.4886025119029199f;
constexpr float kC2[5] = {1.0925484305920792f, -1.0925484305920792f, 0.31539156525252005f, -1.0925484305920792f,
                          0.5462742152960396f};
constexpr float kC3[7] = {-0.5900435899266435f, 2.890611442640554f,   -0.4570457994644658f, 0.3731763325901154f,
                          -0.4570457994644658f, 1.445305721320277f, -0.5900435899266435f};

// basis[0, (degree + 1)^2) at the unit direction (x, y, z).
inline void harmonics(int degree, Floats x, Floats y, Floats z, Floats* basis) {
  basis[0] = splat(kC0);
  if (degree < 1) return;
  basis[1] = -kC1 * y;
  basis[2] = kC1 * z;
  basis[3] = -kC1 * x;
  if (degree < 2) return;
  const Floats xx = x * x, yy = y * y, zz = z * z;
  basis[4] = kC2[0] * x * y;
  basis[5] = kC2[1] * y * z;
  basis[6] = kC2[2] * (2.f * zz - xx - yy);
  basis[7] = kC2[3] * x * z;
  basis[8] = kC2[4] * (xx - yy);
  if (degree < 3) return;
  basis[9] = kC3[0] * y * (3.f * xx - yy);
  basis[10] = kC3[1] * x * y * z;
  basis[11] = kC3[2] * y * (4.f * zz - xx - yy);
  basis[12] = kC3[3] * z * (2.f * zz - 3.f * xx - 3.f * yy);
  basis[13] = kC3[4] * x * (4.f * zz - xx - yy);
  basis[14] = kC3[5] * z * (xx - yy);
  basis[15] = kC3[6] * x * (xx - 3.f * yy);
}

// g[k] is the gradient by basis[k]; adds the gradient by the direction, seen as three free numbers, to (gx, gy, gz).
inline void harmonics_backward(int degree, Floats x, Floats y, Floats z, const Floats* g, Floats& gx, Floats& gy,
                               Floats& gz) {
  if (degree < 1) return;
  gy -= kC1 * g[1];
  gz += kC1 * g[2];
  gx -= kC1 * g[3];
  if (degree < 2) return;
  const Floats g4 = kC2[0] * g[4], g5 = kC2[1] * g[5], g6 = kC2[2] * g[6], g7 = kC2[3] * g[7], g8 = kC2[4] * g[8];
  gx += g4 * y - 2.f * g6 * x + g7 * z + 2.f * g8 * x;
  gy += g4 * x + g5 * z - 2.f * g6 * y - 2.f * g8 * y;
  gz += g5 * y + 4.f * g6 * z + g7 * x;
  if (degree < 3) return;
  const Floats xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
  const Floats g9 = kC3[0] * g[9], g10 = kC3[1] * g[10], g11 = kC3[2] * g[11], g12 = kC3[3] * g[12],
               g13 = kC3[4] * g[13], g14 = kC3[5] * g[14], g15 = kC3[6] * g[15];
  gx += 6.f * g9 * xy + g10 * yz - 2.f * g11 * xy - 6.f * g12 * xz + g13 * (4.f * zz - 3.f * xx - yy) +
        2.f * g14 * xz + 3.f * g15 * (xx - yy);
  gy += 3.f * g9 * (xx - yy) + g10 * xz + g11 * (4.f * zz - xx - 3.f * yy) - 6.f * g12 * yz - 2.f * g13 * xy -
        2.f * g14 * yz - 6.f * g15 * xy;
  gz += g10 * xy + 8.f * g11 * yz + g12 * (6.f * zz - 3.f * xx - 3.f * yy) + 8.f * g13 * xz + g14 * (xx - yy);
}

}  // namespace fewview::splatting::FEWVIEW_ISA
