"""Generated sounds, judged by things that do not know our model: Praat's formants, spectra, durations."""

import jiwer
import librosa
import numpy as np
import parselmouth
import pocketsphinx
import pytest
import torch

import speechjem
from speechjem import phones
from speechjem.errors import UsageError
from speechjem.generation.generator import Generator

RATE = 16000


@pytest.fixture(scope="module")
def generator():
    """SGLD alone, as in ST-JEM."""
    return Generator(mode="sgld")


@pytest.fixture(scope="module")
def speaker():
    """Trained steps."""
    return Generator(mode="descent")


@pytest.fixture(scope="module")
def sounds(generator):
    return {name: generator(name, 0.5, count=8, seed=1) for name in ("aa", "iy", "uw", "ae", "s", "sh")}


def formants(waveforms):
    """Median first and second formant in Hz over the middle of some waveforms (Burg, 5.5 kHz)."""
    values = []
    for waveform in waveforms:
        sound = parselmouth.Sound(waveform.astype(np.float64), RATE)
        track = sound.to_formant_burg(maximum_formant=5500)
        times = np.linspace(0.1, 0.4, 30)
        values.append([[track.get_value_at_time(k, t) for k in (1, 2)] for t in times])
    return np.nanmedian(np.array(values), axis=(0, 1))


def centroid(waveforms):
    """Mean spectral centroid above 1 kHz, in Hz."""
    power = np.abs(np.fft.rfft(waveforms)) ** 2
    frequency = np.fft.rfftfreq(waveforms.shape[1], 1 / RATE)
    power[:, frequency < 1000] = 0
    return np.mean(power @ frequency / power.sum(1))


def test_vowels_have_their_order_of_formants(sounds):
    """Hillenbrand et al. (1995): F1 of aa and ae is above that of iy and uw; F2 of iy is above all others."""
    f1, f2 = ({v: formants(sounds[v])[k] for v in ("aa", "iy", "uw", "ae")} for k in (0, 1))
    assert min(f1["aa"], f1["ae"]) > max(f1["iy"], f1["uw"])
    assert f2["iy"] > f2["ae"] > f2["aa"]
    assert f2["iy"] > f2["uw"]


def test_s_is_brighter_than_sh_and_both_than_vowels(sounds):
    assert centroid(sounds["s"]) > centroid(sounds["sh"]) > centroid(sounds["aa"])


def test_steps_along_the_energy_make_a_text_intelligible():
    """An independent recogniser (pocketsphinx) hears most words of what was said, and fewer without steps."""
    words = "she must seek them abroad invited her to go with them"
    heard = {steps: recognised(Generator(mode="sgld", steps=steps).say(words)[0]) for steps in (1, 10)}
    errors = {steps: jiwer.wer(words, text) for steps, text in heard.items()}
    assert errors[10] <= 0.5
    assert errors[10] < errors[1]


def recognised(waveform):
    decoder = pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw((waveform * 20000).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr if decoder.hyp() else ""


def test_guidance_brings_the_frames_to_the_phones(generator):
    """log p(y | x) of what is generated is higher with guidance than without."""
    names = generator.model.config.phones
    labels = torch.tensor([names.index("S")] * 30 + [names.index("AA")] * 30)
    jem, means = generator.model.jem, []
    for guidance in (0.0, 2.0):
        x = Generator(generator.model, mode="sgld", guidance=guidance).frames(labels, seed=0, count=4)
        with torch.no_grad():
            posterior = jem.log_posterior(x)
        means.append(posterior.gather(-1, labels.to(x.device).expand(4, -1)[..., None]).mean())
    assert means[1] > means[0] + 0.1


@pytest.mark.parametrize("mode", ["descent", "sgld"])
def test_a_given_pitch_is_the_pitch(mode):
    for pitch in (100.0, 180.0):
        waveform = Generator(mode=mode, pitch=pitch)("aa", 0.6)[0]
        found, voiced, _ = librosa.pyin(waveform, fmin=60, fmax=400, sr=RATE)
        assert voiced[5:-5].mean() > 0.6
        assert np.exp(np.log(found[voiced]).mean()) == pytest.approx(pitch, rel=0.05)


def test_trained_steps_make_a_text_intelligible(speaker):
    words = "she must seek them abroad invited her to go with them"
    assert jiwer.wer(words, recognised(speaker.say(words)[0])) <= 0.5


def test_without_temperature_utterances_are_nearly_alike(generator):
    labels = torch.full((40,), phones.index("aa"))
    spread = [
        Generator(generator.model, mode="sgld", temperature=t)
        .frames(labels, seed=0, count=6)
        .std(0)
        .mean()
        .item()
        for t in (0.0, 1.0)
    ]
    assert spread[0] < 0.1
    assert spread[1] > 5 * spread[0]


def test_speech_without_text_is_not_one_phone(generator):
    waveform = generator.anything(2.0, seed=3)[0]
    assert waveform.shape == (2 * RATE,)
    assert len({s.phone for s in speechjem.classify(waveform, RATE)} - {"SIL"}) >= 5


def test_a_sequence_takes_the_time_that_training_speech_takes(generator):
    seconds = generator("s p iy ch").shape[1] / RATE
    median = generator.model.starts.seconds[[phones.index(p) for p in ("s", "p", "iy", "ch")]].sum().item()
    assert seconds == pytest.approx(1.2 * median, abs=0.05)


def test_the_chain_makes_the_phone_likely(generator):
    labels = torch.full((40,), phones.index("iy"))
    frames = generator.frames(labels, seed=0, count=2)
    posterior = generator.model.jem.log_posterior(frames).exp()[..., phones.index("iy")]
    assert posterior.mean() > 0.5


def test_whoever_watches_sees_every_state_and_its_energy(generator):
    seen = []
    generator("iy", 0.2, seed=3, count=2, watch=lambda x, energy: seen.append((x, energy)))
    assert len(seen) == 1 + generator.sampler.steps
    labels = torch.full((21,), phones.index("iy"))
    states, energies = zip(*seen, strict=True)
    assert torch.equal(states[-1], generator.frames(labels, seed=3, count=2))
    with torch.no_grad():
        logits = generator.model.jem.network(torch.cat(states))
    expected = -logits[..., phones.index("iy")].sum(-1)
    torch.testing.assert_close(torch.cat(energies), expected, rtol=1e-3, atol=0.1)
    assert (energies[-1] < energies[0]).all()


def test_samples_differ_between_seeds_and_not_within_one(generator):
    a, b, c = (generator("aa", 0.1, seed=seed)[0] for seed in (1, 1, 2))
    assert (a == b).all()
    assert np.abs(a - c).max() > 0.01


def test_each_phone_of_a_sequence_takes_its_time(generator):
    waveform = generator("sil aa sil", [0.2, 0.3, 0.2], seed=0)[0]
    assert waveform.shape == (round(0.7 * RATE),)
    power = (waveform**2).reshape(7, -1).mean(1)
    assert power[2:5].min() > 100 * max(power[0], power[6])


def test_the_level_is_sane(sounds):
    for waveforms in sounds.values():
        assert np.abs(waveforms).max() <= 0.9001
        assert -40 < 10 * np.log10(np.mean(waveforms**2)) < -20


def test_python_function_gives_one_waveform():
    assert speechjem.generate("ɑ", seconds=0.1).shape == (1600,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("xx",), "There is no phone"),
        (("aa", 0.0), "more than 0"),
        (("aa", float("nan")), "more than 0"),
        (("aa", 61.0), "at most 60 s"),
        (("aa iy", [0.1]), "2 phones but 1"),
    ],
)
def test_wrong_arguments_are_refused(generator, arguments, message):
    with pytest.raises(UsageError, match=message):
        generator(*arguments)
