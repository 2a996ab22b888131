# A server for one model (docs/serving.md). Two images:
#
#   docker build --tag mtl-serve .                     bundles: no PyTorch
#   docker build --tag mtl-serve --target torch .      run folders: with PyTorch for the CPU

FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN MTL_NO_EXT=1 pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . ./runtime

# The wheel of this stage has the compiled operators.
FROM build AS build-torch
RUN pip install --no-cache-dir --constraint constraints.txt torch \
        --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir 'setuptools>=70' \
    && rm /wheels/mtl-*.whl \
    && MTL_REQUIRE_EXT=1 pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.12-slim AS torch
RUN --mount=type=bind,from=build-torch,source=/wheels,target=/wheels \
    --mount=type=bind,from=build-torch,source=/source/constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt torch \
        --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir /wheels/mtl_runtime-*.whl "$(ls /wheels/mtl-*.whl)[serve]"
ENV OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["mtl", "serve", "--host", "0.0.0.0"]
CMD ["/model"]

FROM python:3.12-slim AS bundle
# The packages that `mtl serve` needs for bundles; tests/serving/test_docker.py checks them.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir \
        'Jinja2>=3' 'httptools>=0.6' 'numpy>=1.24' 'typer>=0.12' 'uvicorn>=0.40' 'uvloop>=0.21' \
        /wheels/mtl_runtime-*.whl \
    && pip install --no-cache-dir --no-deps /wheels/mtl-*.whl
ENV OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["mtl", "serve", "--host", "0.0.0.0"]
CMD ["/model.mtl"]
