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


def model_card(config: ArtifactConfig, recipe: str) -> str:
    """Markdown: what it is, how it was made, how its scores are calibrated, its limits."""
    training = config.training
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

## Settings that made it

```json
{_json({"student": config.student, "training": training})}
```

## Limits

English. Titles only: it sees no description, price, stock or behaviour. Queries of up to
{config.max_query_tokens} tokens; what follows is not read.
"""


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, sort_keys=True)
