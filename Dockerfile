# A server of one project: headrace's core alone, which serves, takes feedback, judges and shows the console.
# Turns that train need headrace[train]; run them beside it, on the same volume: see docs/operate.md.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY headrace ./headrace
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /project --shell /usr/sbin/nologin headrace \
    && install -d -o headrace -g headrace -m 0700 /project
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels headrace
USER headrace
VOLUME /project
WORKDIR /project
ENV HEADRACE_PROJECT=/project PYTHONUNBUFFERED=1
EXPOSE 8420
# /healthz fails where answers cannot be stored any more: then the process should be started again.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8420/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["headrace"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8420"]
