"""The layout of the page, and which button starts which run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import SpeechjemError
from ..phones import TABLE
from . import views
from .runs import KEEP_SECONDS, MAX_SECONDS, Outputs, Runs

TITLE = "speechjem"
ABOUT = (
    "Speech enhancement and synthesis with one network: a phoneme classifier read as an energy model. "
    "Nothing leaves the machine that runs it."
)
CONTROLS = 300  # least width of a tab's controls in px
RESULTS = 320
LOADING = "window.speechLoading"  # in the browser: whether the sample is being loaded


def theme() -> gr.themes.Base:
    """Fonts of the system: nothing is fetched from elsewhere."""
    base = gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    # Gradio's greys are too faint for small text (WCAG requires a contrast of 4.5).
    return base.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
    )


def head() -> str:
    """Script and style of the page's own elements."""
    files = resources.files(__package__)
    names = ("style.css", "player.css", "player.js")
    page, player, script = (files.joinpath(name).read_text("utf-8") for name in names)
    return f"<style>{page}</style><script>const SPEECH_STYLE = {json.dumps(player)};\n{script}</script>"


def build(runs: Runs) -> gr.Blocks:
    """The page. All runs wait in one queue, and are done one at a time, in order."""
    sweep = (KEEP_SECONDS // 4, KEEP_SECONDS)  # interval of deletion, and age of the uploads that are deleted
    page = gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=sweep)
    with page:
        _html(f"<header><h1>{TITLE}</h1><p>{ABOUT}</p></header>")
        with gr.Tab("Denoise"):
            _denoise(runs, page)
        with gr.Tab("Generate"):
            _generate(runs)
        with gr.Tab("Phones"):
            _classify(runs)
    page.queue(max_size=64, default_concurrency_limit=1)
    return page


def sample(name: str) -> str:
    """Path of a shipped recording, inside the installed package or in `samples/` of a checkout."""
    packaged = Path(str(resources.files("speechjem"))) / "samples" / name
    return str(packaged if packaged.is_file() else Path(__file__).parents[2] / "samples" / name)


def _denoise(runs: Runs, page: gr.Blocks) -> None:
    config = runs.model.config
    with gr.Row():
        with gr.Column(scale=2, min_width=CONTROLS):
            recording = _audio(f"Recording, at most {MAX_SECONDS} s")
            take = gr.Button("Use the sample", size="sm")
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", info="0 changes nothing.")
            with gr.Accordion("Clean reference", open=False):
                reference = _audio("Clean speech of the recording, for PESQ, STOI and SI-SDR")
            with gr.Accordion("Steps along the energy", open=False):
                mode = gr.Radio(
                    [("Trained descent", "descent"), ("Langevin dynamics", "prior")],
                    value=config.denoise_mode,
                    label="Mode",
                )
                most = config.descent.steps
                steps = _number("Steps", f"0 for the model's default; trained descent has 1 to {most}.")
                seed = _number("Seed", "Of the noise in Langevin dynamics.")
            start, stop = _buttons("Denoise")
        with gr.Column(scale=5, min_width=RESULTS):
            outputs = [_html(views.status("Give a recording, or take the sample.")), _html(), _html()]
    noisy, clean = sample("noisy.flac"), sample("clean.flac")
    _take(take, (noisy, clean), [recording, reference])
    page.load(
        lambda: runs.first_view(noisy, clean), outputs=outputs, show_progress="hidden", concurrency_limit=1,
        concurrency_id="model", api_visibility="private",
    )  # fmt: skip
    inputs = [recording, reference, strength, mode, steps, seed]
    _wire([start.click], stop, runs.denoise, inputs, outputs, runs)


def _generate(runs: Runs) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=CONTROLS):
            kind = gr.Radio([("Words", "words"), ("Phones", "phones")], value="words", label="Make")
            wanted = gr.Textbox(
                "hello world", label="What to say", lines=1,
                info="English words; or phones such as aa, or s p iy ch.",
            )  # fmt: skip
            with gr.Accordion("Settings", open=False):
                steps = _number("Steps", f"0 for the model's default, {runs.model.config.generate.steps}.")
                seed = _number("Seed", "Another seed, another utterance.")
                pitch = _number("Pitch in Hz", "40 to 600, by a vocoder; 0 for Griffin-Lim.")
            start, stop = _buttons("Generate")
            with gr.Accordion("Names of the phones", open=False):
                gr.Markdown("\n".join(["| phone | IPA | as in |", "|---|---|---|", *map(_row, TABLE)]))
        with gr.Column(scale=5, min_width=RESULTS):
            outputs = [_html(views.status("Say what to make.")), _html(), _html()]
    inputs = [kind, wanted, steps, seed, pitch]
    _wire([start.click, wanted.submit], stop, runs.generate, inputs, outputs, runs)


def _classify(runs: Runs) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=CONTROLS):
            recording = _audio(f"Recording, at most {MAX_SECONDS} s")
            take = gr.Button("Use the sample", size="sm")
            start, stop = _buttons("Find the phones")
        with gr.Column(scale=5, min_width=RESULTS):
            outputs = [_html(views.status("Give a recording, or take the sample.")), _html()]
    clean = sample("clean.flac")
    _take(take, (clean,), [recording])
    _wire([start.click], stop, runs.classify, [recording], outputs, runs)


def _take(button: gr.Button, paths: tuple[str, ...], components: list[gr.Audio]) -> None:
    """Let a button load shipped recordings; a run that is started meanwhile waits for them."""
    given = paths if len(paths) > 1 else paths[0]
    taken = button.click(
        lambda: given, outputs=components, show_progress="hidden", queue=False, api_visibility="private",
        js=f"() => {{ {LOADING} = true; return []; }}",
    )  # fmt: skip
    taken.then(None, js=f"() => {{ {LOADING} = false; }}", api_visibility="private")


def _html(content: str = "") -> gr.HTML:
    return gr.HTML(content, apply_default_css=False, js_on_load=None)


def _audio(label: str) -> gr.Audio:
    return gr.Audio(type="filepath", sources=["upload", "microphone"], label=label, buttons=[])


def _number(label: str, info: str) -> gr.Number:
    return gr.Number(0, label=label, info=info, precision=0, minimum=0, maximum=2**31 - 1)


def _buttons(label: str) -> tuple[gr.Button, gr.Button]:
    with gr.Row():
        return gr.Button(label, variant="primary", scale=3, min_width=120), gr.Button("Stop", min_width=80)


def _row(phone: tuple[str, str, str]) -> str:
    return f"| {' | '.join(phone)} |"


def _wire(
    starts: list[Callable[..., Any]],
    stop: gr.Button,
    run: Callable[..., Iterator[Outputs]],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.HTML],
    runs: Runs,
) -> None:
    """Let events start a run, one at a time on this server, and a button stop it."""

    def answer(*values: Any) -> Iterator[Outputs]:
        try:
            yield from run(*values)
        except SpeechjemError as error:
            yield views.problem(_without_folders(str(error), runs.folder.parent)), *[""] * (len(outputs) - 1)

    # Shown by the browser at once. It comes first, for the actions of an event run in this order.
    waiting = json.dumps(views.status("Waiting for its turn"))
    loaded = f"while ({LOADING}) await new Promise((done) => setTimeout(done, 50))"
    script = f"async () => {{ {loaded}; return {waiting}; }}"
    gr.on(starts, None, None, outputs[0], js=script, api_visibility="private")
    # "multiple": with the other modes, a request that comes while a stopped run ends is lost.
    event = gr.on(
        starts, answer, inputs, outputs, api_name=run.__name__, trigger_mode="multiple",
        concurrency_limit=1, concurrency_id="model", show_progress="minimal", show_progress_on=outputs[0],
    )  # fmt: skip
    stop.click(
        lambda: views.status("Stopped."), outputs=outputs[0], cancels=[event], queue=False,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def _without_folders(sentence: str, folder: Path) -> str:
    """The sentence without the folders of files: they are those of the server, not of its users."""
    return re.sub(rf"{re.escape(str(folder))}\S*/", "", sentence)
