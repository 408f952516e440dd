"""Write the shipped models' scores for tests/test_scorer.py; run after shipping new artifacts."""

from __future__ import annotations

import json
from pathlib import Path

from qtr_rerank.artifact import shipped_names
from qtr_rerank.runtime.scorer import Scorer

PAIRS = [
    ("usb c cable", "Anker USB-C to USB-C Cable, 2 m, Black"),
    ("usb c cable", "Leather phone case for Galaxy S10"),
    ("phone case", "Leather phone case for Galaxy S10"),
    ("phone", "Leather phone case for Galaxy S10"),
    ("nx7-1204tb", 'Octavex Trek nx7-1204tb Notebook Silver 43.2 cm (17")'),
    ("labtop 17 inch", 'Octavex Trek nx7-1204tb Notebook Silver 43.2 cm (17")'),
    ("", "Garden hose"),
    ("garden hose", ""),
]
OUT = Path(__file__).parent.parent / "tests" / "golden_scores.json"

if __name__ == "__main__":
    queries, titles = zip(*PAIRS, strict=True)
    golden: dict[str, object] = {"pairs": PAIRS}
    for name in shipped_names():
        golden[name] = [
            round(float(one), 4) for one in Scorer.load(name).score_pairs(queries, titles)
        ]
    OUT.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
