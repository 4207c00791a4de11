#!/bin/sh
# Install mlsnap into a new virtual environment below MLSNAP_TOOL, and print `<digest> <folder>`; the program is
# `<folder>/mlsnap`. All else goes to stderr.
#
#   MLSNAP_TOOL              a folder of this workspace, with requirements.txt
#   MLSNAP_TOOL_REQUIREMENT  what pip installs as mlsnap
#   MLSNAP_TOOL_PYTHON       the Python to make it with; empty: the newest one found
#   MLSNAP_TOOL_KNOWN        what this printed before; empty: nothing. When that is still as it was, it is taken
#
# What an earlier build left here is never taken: its training ran as this user and could have changed it. The same
# goes for files in the home folder, so pip gets an empty one; an index is named in /etc/pip.conf or PIP_INDEX_URL.
set -eu
umask 022

oldest='3.11'
# Root's come first: training cannot have changed them.
distribution='/usr/bin/python3.14 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3'
others='python3.14 python3.13 python3.12 python3.11 python3'

say() {
    printf '[mlsnap] %s\n' "$*" >&2
}

digest_of() { # of all files and links below a folder
    (cd "$1" && { find . -type f -exec sha256sum {} + && find . -type l -exec ls -ld {} +; } | LC_ALL=C sort | sha256sum | cut -c 1-64)
}

is_new_enough() {
    "$1" -I -c "import ensurepip, sys, venv; sys.exit(sys.version_info < tuple(map(int, '$oldest'.split('.'))))" >/dev/null 2>&1
}

python() { # the one to install with
    for one in ${MLSNAP_TOOL_PYTHON:+"$MLSNAP_TOOL_PYTHON"} $distribution $others; do
        if is_new_enough "$one"; then
            printf '%s\n' "$one"
            return
        fi
        if [ -n "$MLSNAP_TOOL_PYTHON" ]; then
            say "error: $MLSNAP_TOOL_PYTHON is no Python $oldest or later with venv (on Debian: python3-venv)"
            return 2
        fi
    done
    say "error: there is no Python $oldest or later with venv on this agent (on Debian: python3-venv)"
    say "next   name one with \`pythonPath: '/opt/python/bin/python3'\`, or choose an image with mlsnap and \`install: 'skip'\`"
    return 2
}

pip() {
    HOME="$home" "$new/venv/bin/python" -I -m pip --quiet --no-input --disable-pip-version-check "$@" >&2
}

known=${MLSNAP_TOOL_KNOWN:-}
if [ -n "$known" ]; then
    folder=${known#* }
    if [ -d "$folder" ] && [ "$(digest_of "$folder")" = "${known%% *}" ]; then
        printf '%s\n' "$known"
        exit 0
    fi
    say "what was installed is not as it was: installing anew"
fi

# What builds left that ended without a word.
find "$MLSNAP_TOOL" -mindepth 1 -maxdepth 1 -type d -mtime +2 -exec rm -rf {} +

interpreter=$(python)
new=$(mktemp -d "$MLSNAP_TOOL/XXXXXXXXXX")
home=$(mktemp -d "$MLSNAP_TOOL/XXXXXXXXXX")
complete=''
trap 'rm -rf "$home"; [ -n "$complete" ] || rm -rf "$new"' EXIT
trap 'exit 143' HUP INT TERM

"$interpreter" -I -m venv "$new/venv" >&2
pip install --require-hashes --only-binary :all: --requirement "$MLSNAP_TOOL/requirements.txt"
pip install --no-deps --no-build-isolation "$MLSNAP_TOOL_REQUIREMENT"

cat >"$new/mlsnap" <<'LAUNCHER'
#!/bin/sh
exec "${0%/*}/venv/bin/python" -I -B -X utf8 -m ci_mlsnap "$@"
LAUNCHER
chmod 755 "$new/mlsnap"
digest=$(digest_of "$new")
complete=yes
printf '%s %s\n' "$digest" "$new"
