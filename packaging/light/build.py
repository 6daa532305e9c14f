"""Build the wheel of speechjem-light: the package with the graphs of its models, which need no torch.

python packaging/light/build.py FOLDER    (in an environment that has torch, onnx, onnxscript and build)
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from speechjem.denoising import block_graph, frame_graph
from speechjem.models import checkpoint

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def main() -> None:
    out = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unwanted = shutil.ignore_patterns("__pycache__", "weights", "*.css", "*.js", "*.html", "*.c")
        shutil.copytree(ROOT / "speechjem", folder / "speechjem", ignore=unwanted)
        shutil.copy(HERE / "pyproject.toml", folder)
        shutil.copy(ROOT / "LICENSE", folder)
        shutil.copy(ROOT / "docs" / "howto" / "light.md", folder / "README.md")
        for model in checkpoint.SHIPPED:
            write_graph(model, folder / "speechjem" / "weights" / model)
        words = ["-m", "build", "--wheel", "--outdir", str(out), str(folder)]
        subprocess.run([sys.executable, *words], check=True)


def write_graph(name: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    for part in (folder.parent, folder):
        (part / "__init__.py").touch()
    model = checkpoint.load(name)
    if model.config.network.causal:
        frame_graph.write(folder / "model.onnx", model, model.config.descent.steps)
    else:
        block_graph.write(folder / "model.onnx", model)
    shutil.copy(checkpoint.shipped_folder(name) / "README.md", folder)


if __name__ == "__main__":
    main()
