# One image for indexer, rerank server and demo: no torch, no root.
FROM python:3.11-slim

# faiss and onnxruntime need libgomp, OpenMP's library.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin qtr \
    && mkdir /data && chown qtr /data

WORKDIR /app
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY qtr_rerank qtr_rerank
COPY indexer indexer
RUN pip install --no-cache-dir '.[opensearch]'
# The demo is not in the wheel.
COPY demo demo

USER 10001
# Catalogs and indices, in a volume that the containers share.
VOLUME /data
EXPOSE 8123 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8123/ready', timeout=2)"]
CMD ["qtr", "serve", "--host", "0.0.0.0"]
