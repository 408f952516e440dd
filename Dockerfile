# The indexer and the search page, without torch. Built from a clone:
#   docker build -t qtr-rerank .
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY pyproject.toml README.md LICENSE ./
COPY qtr_rerank ./qtr_rerank
COPY indexer ./indexer
RUN /venv/bin/pip install --no-cache-dir '.[opensearch]'

FROM python:3.11-slim
# /data belongs to the user before a volume is mounted there: a new volume takes its owner over.
RUN useradd --uid 10001 --create-home qtr && install -d -o qtr -g qtr /data
COPY --from=build /venv /venv
WORKDIR /app
# The page is run from a clone, so it is no part of the installed package.
COPY demo ./demo
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER qtr
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["python", "-m", "demo", "--index", "/data/index", "--host", "0.0.0.0", "--port", "8000"]
