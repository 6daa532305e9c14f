# Sourced by a recipe: sets its variables from options, --stop-stage 3 for stop_stage=3, as Kaldi's parse_options.sh.
# Only variables that the recipe has set before are known; --help prints the comment at the top of the recipe.

_usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

while [[ ${1:-} == --* ]]; do
    if [ "$1" = --help ]; then
        _usage
        exit 0
    fi
    _name=${1#--}
    _name=${_name//-/_}
    if [ $# -lt 2 ] || [ -z "${!_name+set}" ]; then
        echo "$0: there is no option $1, or its value is missing." >&2
        _usage >&2
        exit 2
    fi
    printf -v "$_name" %s "$2"
    shift 2
done

# Whether a stage is among those asked for.
runs() { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]; }

# Makes the folders that variables name absolute; those left empty stay so.
absolute() {
    local name
    for name; do
        if [ -n "${!name}" ]; then
            if [ ! -d "${!name}" ]; then
                echo "$0: --$name ${!name} is no folder." >&2
                exit 2
            fi
            printf -v "$name" %s "$(cd "${!name}" && pwd -P)"
        fi
    done
}
