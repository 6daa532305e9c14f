"""The mean of models' weights, often better than each of them (Wortsman et al. 2022, arXiv 2203.05482).

    python recipes/steps/average.py exp/one/model exp/two/model --out exp/mean/model

The models are of the same sizes, and one's training went on from another's, or both from the same: the mean
of unrelated weights is worthless. The settings are those of the last.
"""

from pathlib import Path

import common
import torch

from speechjem.models import checkpoint


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    models = [checkpoint.load(folder) for folder in arguments.models]
    if any(model.config.network != models[-1].config.network for model in models):
        parser.error(
            "the models have different sizes; give those of trainings that started from one another."
        )
    states = [model.state_dict() for model in models]
    models[-1].load_state_dict({name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]})
    checkpoint.save(models[-1], arguments.out)


if __name__ == "__main__":
    main()
