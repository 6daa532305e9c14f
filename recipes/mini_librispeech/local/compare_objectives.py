"""Draw the training curves of several runs side by side.

    python recipes/mini_librispeech/local/compare_objectives.py -o comparison.png \
        ST-JEM=exp/compare_st_jem "plain JEM=exp/compare_jem"
"""

import argparse
import json
from pathlib import Path

from speechjem import plot


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()

    rows = {}
    for name, folder in (run.split("=", 1) for run in arguments.runs):
        text = (Path(folder) / "train.jsonl").read_text()
        rows[name] = [json.loads(line) for line in text.splitlines()]
    plot.curves(rows, arguments.out)
    for name, run in rows.items():
        held_out = [row["held_out_accuracy"] for row in run if "held_out_accuracy" in row]
        logits = [row["max_logit"] for row in run if "max_logit" in row]
        gaps = [row["energy_gap"] for row in run if "energy_gap" in row][-10:]
        print(
            f"{name}: last update {run[-1]['update']}, diverged {bool(run[-1].get('diverged'))}, "
            f"held-out accuracy {held_out[-1] if held_out else float('nan'):.3f}, "
            f"largest |logit| {max(logits):.1f}, energy gap at the end {sum(gaps) / len(gaps):.2f}"
        )


if __name__ == "__main__":
    main()
