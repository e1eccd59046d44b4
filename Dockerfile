# One image for the workers, Flower and the command line.
# The base is pinned by version, not by digest, because a digest cannot be looked up without its registry. To pin it:
#   docker build --build-arg PYTHON=3.11.13-slim-bookworm@sha256:... .
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
# Everything that is locked becomes a wheel here, checked against its hash, so what is installed below can be nothing else.
COPY requirements.lock ./
RUN pip wheel --quiet --no-cache-dir --disable-pip-version-check \
    --no-deps --require-hashes --requirement requirements.lock --wheel-dir /wheels
COPY pyproject.toml README.md LICENSE ./
COPY understudy ./understudy
COPY bot_client ./bot_client
# Of the wheels only those that workers and Flower need; the tools of development stay behind.
RUN python -m venv /venv \
    && /venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check \
    --no-index --find-links /wheels ".[worker,ops,tracing]" \
    && /venv/bin/pip uninstall --quiet --yes pip setuptools

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="understudy" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --no-create-home --home-dir /nonexistent --uid 10001 --user-group understudy
COPY --from=build /venv /venv
WORKDIR /app
COPY celeryconfig.py ./
COPY workers ./workers
COPY tasks ./tasks
# Compiled now, because the running container may be read-only; readable, whatever the checkout's files are.
RUN chmod -R a+rX . && python -m compileall -q .
# Metrics and health are for the container's own network: nothing is published unless it is asked for.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    UNDERSTUDY_LOG=json \
    UNDERSTUDY_METRICS_HOST=0.0.0.0 \
    UNDERSTUDY_METRICS_PORT=9464
USER 10001:10001
EXPOSE 9464
# Whether the worker lives; it does not ask the broker, so an outage restarts nothing.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "workers.healthcheck"]
CMD ["celery", "-A", "workers", "worker", "-l", "INFO"]
