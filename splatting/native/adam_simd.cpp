// Adam (Kingma and Ba 2015, algorithm 1) on one stretch of a tensor.
#include "splatting/native/kernels.hpp"
#include "splatting/native/simd.hpp"

namespace fewview::splatting::FEWVIEW_ISA {

void adam(const AdamJob& job, int64_t begin, int64_t end) {
  const Floats beta1 = splat(job.beta1), beta2 = splat(job.beta2), rate = splat(-job.rate);
  const float root = job.correction2, epsilon = job.epsilon;
  const auto advance = [&](Floats g, Floats& m, Floats& v, Floats p) {
    m += (1.f - beta1) * (g - m);
    v += (1.f - beta2) * (g * g - v);
    return p + rate * m / (square_root(v) * root + epsilon);
  };
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    Floats m = load(job.mean + i), v = load(job.variance + i);
    store(job.parameter + i, advance(load(job.gradient + i), m, v, load(job.parameter + i)));
    store(job.mean + i, m);
    store(job.variance + i, v);
  }
  if (i < end) {
    const int n = int(end - i);
    Floats m = load_some(job.mean + i, n), v = load_some(job.variance + i, n);
    const Floats p = advance(load_some(job.gradient + i, n), m, v, load_some(job.parameter + i, n));
    for (int l = 0; l < n; ++l) {
      job.parameter[i + l] = p[l];
      job.mean[i + l] = m[l];
      job.variance[i + l] = v[l];
    }
  }
}

}  // namespace fewview::splatting::FEWVIEW_ISA
