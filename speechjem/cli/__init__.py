"""The command line: one short function a command. Computation is elsewhere.

Exit codes: 0 all done, 1 an input failed (each is named on stderr), 2 wrong usage, 130 interrupted.
"""

from . import data, denoising, editing, generation, listening, microphone, models, page, training
from .app import INTERRUPTED, app, main

__all__ = ["INTERRUPTED", "app", "main"]

app.command()(denoising.denoise)
app.command()(microphone.live)
app.command()(generation.generate)
app.command()(editing.inpaint)
app.command()(editing.convert)
app.command()(listening.classify)
app.command()(listening.score)
app.command("plot")(listening.plot_recording)
app.command()(page.demo)
app.command()(denoising.export)
app.command("train")(training.train_model)
app.command("train-images")(training.train_image_model)
app.command()(models.info)
app.command()(listening.phones)
app.add_typer(data.data, name="data")
app.add_typer(models.models, name="models")
