"""Export: the model card, what a reader must know before they use an artifact."""

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

_WIDTH = 50  # letters of the reliability diagram, for probability 1


def model_card(config: ArtifactConfig, recipe: str) -> str:
    """Markdown: what it is, how it was made, how its scores are calibrated, its limits."""
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
## Settings that made it

```json
{_json({"student": config.student, "training": settings})}
```

## Limits

English. Titles only: it sees no description, price, stock or behaviour. Queries of up to
{config.max_query_tokens} tokens; what follows is not read.
"""


def _reliability(found: Mapping[str, Any] | None) -> str:
    """A reliability diagram in letters, for terminals and pages alike (Guo et al. 2017, figure 1):
    a line a bin, `#` up to the probability that was said, `o` where the teacher's mean lies.
    """
    if not found:
        return ""
    rows = []
    for each in found["bins"]:
        if not each["pairs"]:
            continue
        bar = list(("#" * round(_WIDTH * each["confidence"])).ljust(_WIDTH + 1))
        bar[round(_WIDTH * each["accuracy"])] = "o"
        rows.append(
            f"{each['low']:.1f}-{each['high']:.1f}  {each['confidence']:.3f}  "
            f"{each['accuracy']:.3f} {each['pairs']:>8,}  |{''.join(bar).rstrip()}"
        )
    lines = "\n".join(rows)
    return f"""
Expected calibration error {found["ece"]:.4f} in {len(found["bins"])} bins, over {found["pairs"]:,}
pairs of queries that were not trained on, each half of them with the line fitted on the other:

```text
bin       said  teacher    pairs   0{"1":>{_WIDTH}}
{lines}
```
"""


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, sort_keys=True)
