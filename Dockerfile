# The service in a container: what the Procfile's `web:` line starts, as an ordinary user, on a read-only file system.
# `make image` builds it; docs/deploy.md says how it is run.
#
# A python image, or an image of Debian: where it has no Python, Debian's is installed.
ARG BASE=python:3.13-slim

FROM ${BASE} AS python
RUN command -v python3 > /dev/null || \
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*; }

FROM python AS build
# For a network with a mirror of its own, or with none: pip reads them.
ARG PIP_INDEX_URL PIP_NO_INDEX PIP_FIND_LINKS
# Debian's Python comes without pip; its package for virtual environments has one.
RUN python3 -c 'import ensurepip' 2> /dev/null || \
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
COPY requirements.txt .
# Wheels only: nothing is compiled, and no package runs code of its own here. pip itself stays behind in this stage.
RUN python3 -m venv /pip && python3 -m venv --without-pip /app/.venv && \
    /pip/bin/pip --python /app/.venv/bin/python install --quiet --disable-pip-version-check --no-cache-dir \
      --require-hashes --only-binary=:all: -r requirements.txt
COPY pyproject.toml /app/
COPY manifest /app/manifest
COPY service /app/service
# Nobody can write it where it runs.
RUN python3 -m compileall -q /app/service

FROM python
ARG COMMIT=
LABEL org.opencontainers.image.title="zis-job-specs" org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /app /app
WORKDIR /app
# HEROKU_SLUG_COMMIT is where the service looks for the commit it tells (/livez, metrics). Files by which gunicorn's
# processes tell each other how they are go to memory: /dev/shm can be written, also where the rest cannot.
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/dev/shm \
    HEROKU_SLUG_COMMIT=${COMMIT} PORT=8000
# A number, so that Kubernetes can see that it is not root; it needs no name and no home.
USER 10001:10001
EXPOSE 8000
# Whether the process serves. Redis is no part of it: a restart would not bring Redis back.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import http.client, os, sys; caller = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); caller.request('GET', '/livez'); sys.exit(caller.getresponse().status != 200)"]
# Without a shell, so that SIGTERM reaches gunicorn: it answers what it is about, within 27 s.
CMD ["gunicorn", "--config", "python:service.server.gunicorn_config", "service.wsgi:app"]
