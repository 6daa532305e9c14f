"""Download a set of images, and check it by the MD5 that its authors publish.

python recipes/steps/fetch_images.py cifar10 FOLDER
"""

import sys
from pathlib import Path

import common

from speechjem.data import images
from speechjem.errors import SpeechjemError


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("name", choices=images.SOURCES)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        images.download(arguments.name, arguments.folder)
    except SpeechjemError as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
