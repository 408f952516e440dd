#!/usr/bin/env bash
# Milliseconds of the students, and of BERTs in the shapes of BERT-Base, MiniLM-L6 and TinyBERT.
#
#   experiments/latency.sh        (or: make experiment-latency)
#
# Writes results/{models,latency,latency-rivals}.json. Needs the extra `train`, which makes the
# shapes' graphs once (600 MB in the user's cache folder, or in SHAPES=FOLDER). Takes about three
# minutes. Run it on an idle machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
SECONDS_EACH=${SECONDS_EACH:-3}

qtr models --json | python -c '
import json, sys
keep = ("name", "kind", "bytes", "fingerprint")
rows = [{key: row[key] for key in keep} for row in json.load(sys.stdin)]
print(json.dumps(rows, indent=2))' > results/models.json

# The old file stays if the measurement fails.
qtr bench --rivals --seconds "$SECONDS_EACH" ${SHAPES:+--work "$SHAPES"} --json > results/.new
mv results/.new results/latency-rivals.json
# The students alone, from the same run, so that no figure has two values.
python -c '
import json, sys
keep = ("model", "threads", "milliseconds", "titles_per_second")
rows = [{key: row[key] for key in keep} for row in json.load(sys.stdin) if not row["rival"]]
print(json.dumps(rows, indent=2))' < results/latency-rivals.json > results/latency.json
