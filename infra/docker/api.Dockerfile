# syntax=docker/dockerfile:1
# The API, and the migrations with the same image. No torch.
FROM python:3.11-slim AS packages
COPY requirements/api.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/venv && /opt/venv/bin/pip install --require-hashes -r requirements/api.txt

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --create-home imago
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY alembic.ini ./
COPY engine/src/imago_engine imago_engine
COPY services services
COPY migrations migrations
COPY api api
COPY infra/keys.py infra/
# Compiled here, because the root file system is read-only when the container runs.
RUN /opt/venv/bin/python -m compileall -q /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 IMAGO_API_HOST=0.0.0.0 IMAGO_API_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "api", "serve"]
