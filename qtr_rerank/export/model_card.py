"""Export: the model card, a README with what users of an artifact must know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qtr_rerank.artifact import ArtifactConfig

_TOKENS = {
    "wordpiece": "WordPiece",
    "triletters": "words of letters and digits, cut into tri-letters",
    "ngrams": "words and pairs of words",
}

_WIDTH = 50  # characters of the reliability diagram for probability 1


def model_card(config: ArtifactConfig, recipe: str) -> str:
    """Markdown: the model, how it was made (`recipe`), its calibration, its limits."""
    training = config.training
    settings = {name: value for name, value in training.items() if name != "reliability"}
    return f"""# {config.name}

A product-search student of kind `{config.kind}`, distilled from a cross-encoder by
qtr_rerank. It reads `{config.reads}`: up to {config.max_query_tokens}
tokens of the query and {config.max_title_tokens} of the title
({_TOKENS[config.vocabulary]}, lower case).
Licence: Apache-2.0.

{recipe.strip()}

## Calibration

`probability = sigmoid({config.calibration.scale:.4f} * logit + {config.calibration.bias:.4f})`,
fitted on held-out queries of the transfer set against the teacher's probability. Sort on logits.
{_reliability(training.get("reliability"))}
## Training settings

```json
{_json({"student": config.student, "training": settings})}
```

## Limits

English. Titles only: it sees no description, price, stock or behaviour. Queries of up to
{config.max_query_tokens} tokens; later tokens are ignored.
"""


def _reliability(calibration: Mapping[str, Any] | None) -> str:
    """A reliability diagram as text (Guo et al. 2017, figure 1): one line per bin, `#` up to the
    predicted probability, `o` at the teacher's mean.
    """
    if not calibration:
        return ""
    rows = []
    for row in calibration["bins"]:
        if not row["pairs"]:
            continue
        bar = list(("#" * round(_WIDTH * row["confidence"])).ljust(_WIDTH + 1))
        bar[round(_WIDTH * row["accuracy"])] = "o"
        rows.append(
            f"{row['low']:.1f}-{row['high']:.1f}  {row['confidence']:.3f}  "
            f"{row['accuracy']:.3f} {row['pairs']:>8,}  |{''.join(bar).rstrip()}"
        )
    lines, bins = "\n".join(rows), len(calibration["bins"])
    return f"""
Expected calibration error {calibration["ece"]:.4f} in {bins} bins, over {calibration["pairs"]:,}
pairs of queries that were not trained on; each half is measured with the line of the other half:

```text
bin  predicted  teacher    pairs   0{"1":>{_WIDTH}}
{lines}
```
"""


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, sort_keys=True)
