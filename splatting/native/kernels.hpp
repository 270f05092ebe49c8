// What the parts of the rasteriser pass to each other. Plain data only: these types are shared by objects compiled
// for different instruction sets.
#pragma once

#include <cstdint>

namespace fewview::splatting {

constexpr int kTileWidth = 32, kTileHeight = 16;
constexpr int kBlock = 512;  // Gaussians in one work item; fixed, so sums over blocks never depend on the threads
constexpr int kSlot = 16;    // floats of gradient for one (tile, Gaussian) pair: one cache line
constexpr int kViewSums = 16;  // gradient of the 3x4 view matrix, then of fx, fy, cx, cy

constexpr float kBlur = 0.3f;
constexpr float kAlphaMin = 1.f / 255.f, kAlphaMax = 0.999f;
constexpr float kLog2AlphaMin = -7.99435344f, kLog2AlphaMax = -1.44341669e-3f;
constexpr float kTransmittanceMin = 1e-4f;

struct Scene {
  const float *means, *quats, *log_scales, *logit_opacities, *sh;
  int64_t count;
  int32_t coefficients;  // K of sh (N, K, 3)
};

struct View {
  float R[9], t[3];  // world to camera
  float fx, fy, cx, cy;
  float background[3];
  float near;
  int32_t width, height;
  int32_t degree;  // of the spherical harmonics in use
  int32_t antialiased, normals, median;
};

// A projected Gaussian, 64 bytes. Its exponent at pixel (x, y) is, in powers of two and with dy = y - y0 and
// dx = x - x0 - slope * dy, log_opacity + bend_x * dx^2 + bend_y * dy^2: the ellipse sheared upright, so nothing cancels
// in long thin ones.
struct Record {
  float x0, y0;
  float slope;   // cov_xy / cov_yy
  float bend_x, bend_y;  // -log2(e) / 2 times cov_yy / det and 1 / cov_yy
  float log_opacity;
  float channels[7];  // red, green, blue, z-depth, normal in the camera frame
  float reach_x, reach_y;  // half size of the box about alpha >= 1/255; reach_y < 0: not drawn
  float narrow;  // -1 / bend_x
};
static_assert(sizeof(Record) == 64, "one cache line");

struct Entry {
  int32_t gaussian, slot;
};

// Gradients of the loss by the rendered channels; depth, alpha and normal may be null.
struct ImageGradients {
  const float *image, *alpha, *depth, *normal;
};
struct Images {
  float *image, *alpha, *depth, *normal, *median;  // normal and median may be null
};

struct SceneGradients {
  float *means, *quats, *log_scales, *logit_opacities, *sh;
};

constexpr int kWindowRadius = 5;

// Loss = sum over pixels and channels of scale * weight * ((1 - ssim_weight) |x - t| + ssim_weight (1 - SSIM)).
// Pixels of weight 0 count as equal to the target.
struct PhotometricJob {
  const float *rendered, *target, *weight;      // (H, W, 3), (H, W, 3), (H, W) or null
  const float *target_mean, *target_variance;   // (H, W, 3), under the window
  float* gradient;                              // (H, W, 3) by `rendered`, or null
  double* row_sums;                             // (H, 2): loss, and scale * weight * squared error
  float window[kWindowRadius + 1];              // one half, the centre first
  float ssim_weight, scale;
  int32_t width, height;
};
// Floats of scratch in one row, and in all.
static inline int64_t photometric_row(int32_t width) { return (3 * int64_t(width) + 6 * kWindowRadius + 16 + 15) / 16 * 16; }
static inline int64_t photometric_scratch(int32_t width) { return (6 * (2 * kWindowRadius + 1) + 4) * photometric_row(width); }

struct AdamJob {
  float *parameter, *mean, *variance;
  const float* gradient;
  int64_t size;
  float rate;  // divided by 1 - beta1^step
  float beta1, beta2, epsilon;
  float correction2;  // 1 / sqrt(1 - beta2^step)
};

// The kernels compiled once per instruction set.
struct Kernels {
  // Projects Gaussians [begin, end); returns a bit per input tensor (in the order of Scene) that holds NaN or
  // infinite values.
  int (*project)(const Scene&, const View&, int64_t begin, int64_t end, Record* records);
  void (*blend)(const View&, const Record*, const Entry* first, const Entry* last, int tile_x, int tile_y,
                const Images&);
  void (*blend_backward)(const View&, const Record*, const Entry* first, const Entry* last, int tile_x, int tile_y,
                         const Images& rendered, const ImageGradients&, float* slots);
  // Sums the slots of each Gaussian (offsets: its range of slots) and carries them to the parameters.
  void (*project_backward)(const Scene&, const View&, const int32_t* offsets, const float* slots, int64_t begin,
                           int64_t end, const SceneGradients&, double* view_sums);
  void (*photometric)(const PhotometricJob&, int row_begin, int row_end, float* scratch);
  void (*adam)(const AdamJob&, int64_t begin, int64_t end);
};

namespace baseline {
const Kernels& kernels();
}
namespace avx2 {
const Kernels& kernels();
}

}  // namespace fewview::splatting
