# Build the wheel and its pinned dependencies, then copy only the environment.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/ocs
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN /opt/ocs/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
 && python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY ocs ocs
RUN /opt/build/bin/python -m build --wheel --no-isolation --outdir /dist \
 && /opt/ocs/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="ocs" org.opencontainers.image.licenses="BSD-3-Clause"
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin ocs \
 && install -d -o ocs -g ocs -m 0700 /data
COPY --from=build /opt/ocs /opt/ocs
ENV PATH=/opt/ocs/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    OCS_DATA_DIR=/data OCS_HOST=0.0.0.0 OCS_PORT=8000 TMPDIR=/data
USER ocs
# The root file system may be read-only: everything is written to this volume.
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"OCS_PORT\"]}/health', timeout=2)"]
CMD ["ocs", "serve"]
