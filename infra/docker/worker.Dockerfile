# syntax=docker/dockerfile:1
# A worker, for CPU or GPU: docker build --build-arg ACCELERATOR=gpu …
# The locked PyTorch is one wheel for both and carries its CUDA libraries; a site that has a lock of CPU-only
# wheels makes a smaller image with --build-arg REQUIREMENTS=requirements/….txt
ARG ACCELERATOR=cpu

FROM python:3.11-slim AS packages
ARG REQUIREMENTS=requirements/worker.txt
COPY requirements requirements
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/venv && /opt/venv/bin/pip install --require-hashes -r ${REQUIREMENTS}

FROM python:3.11-slim AS worker
RUN useradd --uid 10001 --user-group --create-home imago \
    && install -d -o imago -g imago /weights /data /home/imago/.cache
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY engine/src/imago_engine imago_engine
COPY services services
COPY worker worker
COPY infra/docker/worker_health.py infra/docker/
RUN /opt/venv/bin/python -m compileall -q /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    IMAGO_WEIGHTS_FOLDER=/weights IMAGO_DATA_ROOT=/data IMAGO_CACHE_FOLDER=/home/imago/.cache/imago \
    TORCH_HOME=/home/imago/.cache/torch HF_HOME=/home/imago/.cache/huggingface
USER 10001:10001
# The first minutes may go into loading a network.
HEALTHCHECK --interval=30s --timeout=15s --start-period=120s \
    CMD ["python", "-m", "infra.docker.worker_health"]
CMD ["python", "-m", "worker"]

FROM worker AS cpu
ENV IMAGO_DEVICE=cpu

FROM worker AS gpu
ENV IMAGO_DEVICE=cuda NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM ${ACCELERATOR}
