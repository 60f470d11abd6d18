# The server with everything it can use. Nothing is downloaded when it starts.
#
#   docker build --tag hypha-server .
#   docker run --publish 9520:9520 --volume hypha-data:/data hypha-server

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/hypha
COPY requirements-image.lock ./
RUN /opt/hypha/bin/pip install --require-hashes --requirement requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY hypha ./hypha
RUN /opt/hypha/bin/pip install --no-deps --no-index --no-build-isolation . \
    && /opt/hypha/bin/python -m compileall -q /opt/hypha/lib

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium fonts-liberation \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 8877 --user-group --create-home hypha \
    && install --directory --owner hypha --group hypha --mode 0700 /data
COPY --from=build /opt/hypha /opt/hypha
COPY deploy/health.py /opt/hypha/health.py
ENV PATH=/opt/hypha/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    HYPHA_DATA_DIR=/data
USER 8877
WORKDIR /home/hypha
VOLUME /data
EXPOSE 9520
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "/opt/hypha/health.py"]
CMD ["python", "-m", "hypha.server", "--host=0.0.0.0", "--port=9520", "--from-env"]
