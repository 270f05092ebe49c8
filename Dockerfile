# fewview on the CPU. `docker build -t fewview .`, then `docker run --rm -v "$PWD:/work" fewview run photos/ --out room`.
# What an image for CUDA needs: docs/install.md.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libgomp1 libusb-1.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheels /wheels
COPY constraints.txt /constraints.txt
# Hand in an index that serves torch's CPU build, as `--build-arg PIP_EXTRA_INDEX_URL=...`: the usual one serves CUDA's.
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir --constraint /constraints.txt /wheels/*.whl && rm -r /wheels
ENV XDG_CACHE_HOME=/work/.cache
WORKDIR /work
ENTRYPOINT ["fewview"]
