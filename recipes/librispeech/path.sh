# Where the tools are; sourced by run.sh.
recipes=$(cd .. && pwd)
steps=$recipes/steps
utils=$recipes/utils
