"""`python -m speechjem` is the command `speechjem`."""

from .cli import main

main()
