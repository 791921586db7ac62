#!/bin/sh
# What `make demo` runs: index a folder, search it three times, say what to type next.
set -eu
folder=${1:-examples/library}
here=$(pwd)
case $folder in "~/"*) folder=$HOME/${folder#??} ;; esac # as zsh and dash hand it on

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi

say() {
  printf '\n%s$' "$bold"
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./-]*) word="\"$word\"" ;; esac
    printf ' %s' "$word"
  done
  printf '%s\n' "$plain"
}
run() { say "$@"; "$@"; }

run embedwell index "$folder"
cd "$folder"
if [ "$folder" = examples/library ]; then
  run embedwell search -k 2 "how long to wait before trying again"
  run embedwell search -k 2 "what to do after a power cut"
  run embedwell search -k 2 "la chaîne de mon vélo saute"
else
  run embedwell search -k 2 "how do I get started"
  run embedwell search -k 2 "what happens when something fails"
  run embedwell search -k 2 --kind code "read a file and parse it"
fi

cat <<END

That was the whole of it. What to type next:

  cd "$folder"
  "$here/.venv/bin/embedwell" search "your own question"
  make -C "$here" demo FOLDER=~/Documents   # your own folder
  "$here/.venv/bin/embedwell" --help
END
