"""Whether the energy tells English speech from what is not.

    python recipes/energy/local/out_of_distribution.py DATA \
        --noise NOISE_FOLDER MODEL [MODEL ...]

Area under the ROC curve (0.5 is chance) of three scores of an excerpt of 1 s, each a mean over its frames:
-E(x), the log-sum-exp of the logits; the largest posterior max p(y|x) (Hendrycks and Gimpel 2017); and minus
the norm of the gradient of E(x), JEM's approximate mass (Grathwohl et al. 2020). Speech of held-out readers
is set against recorded noise, synthetic music, white noise, and itself played backwards. Other languages are
set against English by the same synthesiser, eSpeak NG, so that the synthesiser is not what is told apart:
the first article of the Universal Declaration of Human Rights, in eight voices. Needs: pip install
espeakng-loader scikit-learn
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from speech import frames_of
from torch import Tensor

from speechjem import audio
from speechjem.data import mixing
from speechjem.data.kaldi import read_directory
from speechjem.models import checkpoint
from speechjem.models.speech import SpeechModel

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
COUNT = 200  # excerpts of each kind, 1 s each
DECLARATION = {
    "en-us": "All human beings are born free and equal in dignity and rights. They are endowed with reason "
    "and conscience and should act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und "
    "Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de "
    "raison et de conscience et doivent agir les uns envers les autres dans un esprit de "
    "fraternité.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están "
    "de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on "
    "annettu järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "cmn": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--noise", type=Path, required=True)
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    rng = np.random.default_rng(0)
    speech = list(taken(recordings(arguments.data, speakers)))
    clips = rng.permutation([str(source.path) for source in audio.find([arguments.noise])])[: 2 * COUNT]
    spoken = {language: list(taken([synthesised(language)])) for language in DECLARATION}
    english = spoken.pop("en-us")
    against: dict[str, tuple[list, list]] = {
        "recorded noise": (speech, list(taken(map(at_rate, map(audio.read, map(Path, clips)))))),
        "synthetic music": (speech, [mixing.music(rng, RATE) for _ in range(COUNT)]),
        "white noise": (speech, list(rng.standard_normal((COUNT, RATE)))),
        "backwards": (speech, [x[::-1].copy() for x in speech]),
        **{f"{language}, eSpeak": (english, other) for language, other in spoken.items()},
    }
    print("| model | against | excerpts | -E(x) | max p(y\\|x) | -\\|grad E\\| |\n|---|---|---|---|---|---|")
    for path in arguments.models:
        model = checkpoint.load(path)
        for name, (inside, outside) in against.items():
            truth = [1] * len(inside) + [0] * len(outside)
            scores = np.array([scored(model, x) for x in [*inside, *outside]])
            areas = [f"{roc_auc_score(truth, column):.3f}" for column in scores.T]
            print(f"| {Path(path).name} | {name} | {len(inside)}, {len(outside)} | {' | '.join(areas)} |")


def scored(model: SpeechModel, samples: np.ndarray) -> list[float]:
    x = frames_of(model, samples)[None]
    logits = model.jem.logits(x).detach()
    steepness: Tensor = model.jem.gradient(x)[0].norm(dim=-1)
    return [
        logits.logsumexp(-1).mean().item(),
        logits.softmax(-1).amax(-1).mean().item(),
        -steepness.mean().item(),
    ]


def recordings(data: Path, speakers: list[str]) -> Iterator[np.ndarray]:
    chosen = [u for u in read_directory(data) if u.speaker in speakers]
    return (at_rate(utterance.read()) for utterance in chosen)


def at_rate(loaded: audio.Audio) -> np.ndarray:
    return common.mono(loaded, RATE)


def taken(waveforms: Iterator[np.ndarray] | list[np.ndarray]) -> Iterator[np.ndarray]:
    """The first `COUNT` seconds that are not silent, at most two of a recording unless there is only one."""
    count, most = 0, COUNT if isinstance(waveforms, list) else 2
    for waveform in waveforms:
        seconds = [waveform[start : start + RATE] for start in range(0, len(waveform) - RATE + 1, RATE)]
        for second in [s for s in seconds if mixing.rms(s) > 1e-3][:most]:
            if count < COUNT:
                count += 1
                yield second


def synthesised(language: str) -> np.ndarray:
    """The declaration's first article in eight voices, one after the other."""
    sys.path.append(str(Path(__file__).parents[2] / "tiny" / "local"))
    from prepare import VOICES, Synthesiser

    speak: Callable = Synthesiser()
    said = [speak(DECLARATION[language], f"{language}+{v}", speed, pitch)[0] for _, v, speed, pitch in VOICES]
    return audio.resample(np.concatenate(said), speak.rate, RATE)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
