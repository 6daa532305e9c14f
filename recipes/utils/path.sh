# Where the tools are; sourced by the run.sh of a recipe, in its folder.
recipes=$(cd .. && pwd)
steps=$recipes/steps
utils=$recipes/utils
