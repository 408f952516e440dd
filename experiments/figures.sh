#!/usr/bin/env bash
# Measure every figure of the README again: results/*.json, then their tables.
#
#   QTR_DATA_DIR=.../data experiments/figures.sh
#
# Run it on an idle machine: it measures latency.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${QTR_DATA_DIR:?set it to the folder that holds icecat/ and homedepot/}"
WORK=${WORK:-runs/figures}
mkdir -p "$WORK" results

experiments/latency.sh

qtr sample "$WORK/shop" > /dev/null
python -m indexer "$WORK/shop/catalog.jsonl" --index "$WORK/shop/index" \
  --models twin,match,bert2dnn,bert-bilstm  # experiments.cascade compares them
qtr search "$WORK/shop/index" --queries "$WORK/shop/queries.csv" -k 100 --stage retrieve \
  --run "$WORK/retrieved.trec"
qtr search "$WORK/shop/index" --queries "$WORK/shop/queries.csv" -k 100 \
  --run "$WORK/reranked.trec"
(cd "$WORK" && qtr evaluate retrieved.trec reranked.trec --qrels shop/judgments.csv --json) \
  > results/sample.json

python -m experiments.icecat "$QTR_DATA_DIR/icecat" --work "$WORK/icecat"
python -m experiments.cascade "$WORK/shop/index" "$WORK/shop/judgments.csv" \
  "$WORK/icecat/index" "$WORK/icecat/qrels.csv"
python -m experiments.judging "$QTR_DATA_DIR/icecat" --index "$WORK/icecat/index"
python -m experiments.zero_shot --work "$WORK/zero-shot"
python experiments/tables.py
