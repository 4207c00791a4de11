#!/usr/bin/env bash
# The set-up of every action: find a Python, give mlsnap an environment of its own, and say where both are.
#
# The environment is made new for each job: one that an earlier job left could have been written by its training.
# Its seal is the digest of what the file system knows of its files. The time of a file's last change is among it,
# which the kernel sets and no ordinary user can. The steps after training compare it before they run with secrets.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
action=$(cd "$here/../.." && pwd)

fail() {
    printf '::error title=mlsnap::%s\n' "${1//[^[:print:]]/?}" >&2
    exit 2
}

fits() {
    command -v "$1" >/dev/null && "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# A Python of the distribution comes first: it belongs to root, so that training cannot have changed it.
find_python() {
    local one
    if [ -n "${MLSNAP_SETUP_PYTHON:-}" ]; then
        fits "$MLSNAP_SETUP_PYTHON" || fail "python-path: $MLSNAP_SETUP_PYTHON is no Python 3.11 or newer"
        command -v "$MLSNAP_SETUP_PYTHON"
        return
    fi
    for one in /usr/bin/python3.{14,13,12,11} /usr/bin/python3 python3.{14,13,12,11} python3 python; do
        if fits "$one" && "$one" -I -c 'import ensurepip, venv' 2>/dev/null; then
            command -v "$one"
            return
        fi
    done
    fail 'there is no Python 3.11 or newer with venv: set python-path, or use actions/setup-python, or apt-get install python3-venv'
}

# The Python beside the mlsnap that is on the PATH, unless one is named.
installed_python() {
    local python=${MLSNAP_SETUP_PYTHON:-}
    if [ -z "$python" ] && command -v mlsnap >/dev/null; then
        python=$(dirname "$(readlink -f "$(command -v mlsnap)")")/python
    fi
    "${python:=python3}" -I -B -m ci_mlsnap --version >&2 ||
        fail "install: skip, and $python has no mlsnap: set python-path to the Python of the environment that has it"
    command -v "$python"
}

seal_of() (
    cd "$1"
    PATH=/usr/bin:/bin LC_ALL=C
    { find . -printf '%p %y %l %i %s %m %U %C@\n'; find -L bin/python -printf '%i %s %C@\n'; } |
        sort | sha256sum | cut -c -64
)

make_environment() {
    local base=$1 place
    place=$(mktemp -d "${RUNNER_TEMP:?is not set: this is no step of a job}/mlsnap-environment-XXXXXX")
    "$base" -I -m venv "$place" >&2
    pip() { "$place/bin/python" -I -m pip --disable-pip-version-check --no-input --quiet "$@" >&2; }
    pip install --require-hashes --only-binary :all: --requirement "$here/requirements.txt"
    pip install --no-index --no-deps --no-build-isolation "$action"
    printf '%s' "$place"
}

if [ -n "${MLSNAP_SETUP_ENVIRONMENT:-}" ]; then
    seal=${MLSNAP_SETUP_ENVIRONMENT%% *}
    python=${MLSNAP_SETUP_ENVIRONMENT#* }
    [ "$seal" = - ] || [ "$(seal_of "${python%/bin/python}")" = "$seal" ] ||
        fail 'environment: it was changed since it was made; leave the input out, and a new one is made'
elif [ "${MLSNAP_SETUP_INSTALL:-}" = skip ]; then
    python=$(installed_python)
    seal=-
elif [ -z "${MLSNAP_SETUP_INSTALL:-}" ] || [ "$MLSNAP_SETUP_INSTALL" = own ]; then
    base=$(find_python)
    echo "::group::mlsnap: making an environment with $base"
    place=$(make_environment "$base")
    echo '::endgroup::'
    python=$place/bin/python
    seal=$(seal_of "$place")
else
    fail "install: $MLSNAP_SETUP_INSTALL is neither own nor skip"
fi

case $python in *$'\n'*) fail 'the path of Python has a line break' ;; esac
printf 'python=%s\nseal=%s\nenvironment=%s %s\n' "$python" "$seal" "$seal" "$python" >>"$GITHUB_OUTPUT"
