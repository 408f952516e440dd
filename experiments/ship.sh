#!/usr/bin/env bash
# The recipe of the artifacts in qtr_rerank/models, from clean sources only, every step resumable.
#
#   QTR_DATA_DIR=.../data ENCODER=.../all-MiniLM-L6-v2 experiments/ship.sh [RUNS]
#
# ENCODER is any local folder or Hugging Face id of all-MiniLM-L6-v2 (Apache-2.0). RUNS (default:
# runs/ship) keeps what each step leaves behind; a step whose outcome is there is not run again.
# On 2 CPU cores it takes about four hours.
set -euo pipefail
: "${QTR_DATA_DIR:?set it to the folder that holds icecat/ and unlabelled/}"
ENCODER=${ENCODER:-sentence-transformers/all-MiniLM-L6-v2}
RUNS=${1:-runs/ship}
MODELS=${MODELS:-qtr_rerank/models}
mkdir -p "$RUNS"

step() {  # step OUTCOME COMMAND...: run the command unless its outcome is there
  local outcome=$1; shift
  if [ -e "$outcome" ]; then echo "kept  $outcome"; else echo "+ $*"; "$@"; fi
}

for side in train dev; do
  step "$RUNS/icecat-$side.parquet" qtr pairs judged icecat "$QTR_DATA_DIR/icecat" \
    --split "$side" -o "$RUNS/icecat-$side.parquet"
done
step "$RUNS/pairs.parquet" qtr pairs synthesize "$QTR_DATA_DIR/unlabelled/titles.tsv.gz" \
  --source icecat --source wdc --source er_magellan \
  --queries "$QTR_DATA_DIR/unlabelled/queries.tsv.gz" --query-source wands --query-source icecat \
  --keep-out "$RUNS/icecat-dev.parquet" -o "$RUNS/pairs.parquet"
step "$RUNS/labelled.parquet" qtr pairs label "$RUNS/pairs.parquet" \
  --encoder "$ENCODER" -o "$RUNS/labelled.parquet"
step "$RUNS/sample.parquet" qtr pairs sample -o "$RUNS/sample.parquet"
# First what words mean in titles, from many label-free pairs; then what judges want, from few.
step "$RUNS/teacher-1/teacher.json" qtr teacher finetune --encoder "$ENCODER" \
  --weak "$RUNS/labelled.parquet" --gold "$RUNS/icecat-train.parquet" -o "$RUNS/teacher-1"
step "$RUNS/teacher/teacher.json" qtr teacher finetune --encoder "$RUNS/teacher-1" \
  --weak "$RUNS/labelled.parquet" --weak-pairs 12000 --gold "$RUNS/icecat-train.parquet" \
  --gold "$RUNS/sample.parquet" --gold-repeats 1 --learning-rate 3e-5 -o "$RUNS/teacher"
# As many again from other queries, some of the titles found by meaning: size makes the student.
step "$RUNS/more.parquet" qtr pairs synthesize "$QTR_DATA_DIR/unlabelled/titles.tsv.gz" \
  --source icecat --source wdc --source er_magellan --dense-encoder "$ENCODER" \
  --seed 8 --generated 40000 \
  --queries "$QTR_DATA_DIR/unlabelled/queries.tsv.gz" --query-source wands --query-source icecat \
  --keep-out "$RUNS/icecat-dev.parquet" -o "$RUNS/more.parquet"
step "$RUNS/more-labelled.parquet" qtr pairs label "$RUNS/more.parquet" \
  --encoder "$ENCODER" -o "$RUNS/more-labelled.parquet"
# Words that the titles above lack, so that a shop of another kind is not all news to a student.
step "$RUNS/words.parquet" qtr pairs words "$QTR_DATA_DIR/unlabelled/titles.tsv.gz" \
  --source icecat --source wdc --source er_magellan --encoder "$ENCODER" \
  --queries "$QTR_DATA_DIR/unlabelled/queries.tsv.gz" --query-source wands --query-source icecat \
  --keep-out "$RUNS/icecat-dev.parquet" -o "$RUNS/words.parquet"
step "$RUNS/words-labelled.parquet" qtr pairs label "$RUNS/words.parquet" \
  --encoder "$ENCODER" -o "$RUNS/words-labelled.parquet"
# Scoring resumes by itself, shard by shard.
for pairs in icecat-train sample labelled more-labelled words-labelled; do
  qtr teacher score "$RUNS/teacher" "$RUNS/$pairs.parquet" -o "$RUNS/$pairs-scores"
done
# On shops that the teacher has not seen, a little of the bi-encoder and of plain coverage makes it
# better: two logits for a cosine of 1, one for full coverage, then brought to the teacher's scale.
for pairs in labelled more-labelled words-labelled; do
  step "$RUNS/$pairs-mixed.parquet" qtr teacher mix "$RUNS/$pairs-scores" \
    --mixture experiments/mixture.json -o "$RUNS/$pairs-mixed.parquet"
done
for kind in match bert2dnn bert-bilstm twin; do
  step "$RUNS/$kind/probes.json" qtr distill "$kind" --scores "$RUNS/labelled-mixed.parquet" \
    --scores "$RUNS/more-labelled-mixed.parquet" \
    --scores "$RUNS/words-labelled-mixed.parquet" --gold "$RUNS/icecat-train-scores" \
    --gold "$RUNS/sample-scores" --encoder "$ENCODER" -o "$RUNS/$kind"
  qtr export "$RUNS/$kind" --card experiments/card.md -o "$MODELS/$kind"
done
qtr models
