#include "splatting/native/kernels.hpp"

namespace fewview::splatting::FEWVIEW_ISA {

int project(const Scene&, const View&, int64_t, int64_t, Record*);
void project_backward(const Scene&, const View&, const int32_t*, const float*, int64_t, int64_t,
                      const SceneGradients&, double*);
void blend(const View&, const Record*, const Entry*, const Entry*, int, int, const Images&);
void blend_backward(const View&, const Record*, const Entry*, const Entry*, int, int, const Images&,
                    const ImageGradients&, float*);
void photometric(const PhotometricJob&, int, int, float*);
void adam(const AdamJob&, int64_t, int64_t);

const Kernels& kernels() {
  static constexpr Kernels table{project, blend, blend_backward, project_backward, photometric, adam};
  return table;
}

}  // namespace fewview::splatting::FEWVIEW_ISA
