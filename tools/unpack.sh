# Take a program out of a Debian package without installing it: its services do not start.
# Sourced after apt.sh. `unpack PACKAGES PROGRAM…` leaves a wrapper in .parts/bin for each PROGRAM, which starts
# it together with the libraries that this machine lacks. Several packages share the folder of the first.

libraries() { # the folders below $1 that hold libraries
  find "$1" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:
}

missing() { # libraries that the unpacked program still lacks
  LD_LIBRARY_PATH=$(libraries "$scratch/tree") ldd "$scratch/tree/$1" | sed -n 's/ => not found//p'
}

needed() { # packages of libraries named by what was fetched, neither fetched nor installed yet
  local deb package
  for deb in "$scratch"/debs/*.deb; do dpkg-deb -f "$deb" Pre-Depends Depends; done |
    sed -E 's/^(Pre-)?Depends://' | tr ',' '\n' | sed -E 's/^ *//; s/[ (:|].*//' | grep '^lib' | sort -u |
    while read -r package; do
      ls "$scratch/debs/${package}"_* >/dev/null 2>&1 ||
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

with_libraries() { # fetch what the program lacks; a library may need further ones
  local packages package
  for _ in 1 2 3 4 5; do
    [ -n "$(missing "$1")" ] || return 0
    mapfile -t packages < <(needed)
    [ "${#packages[@]}" -gt 0 ] || return 1
    fetch "${packages[@]}" || return 1
    for package in "${packages[@]}"; do dpkg-deb -x "$scratch/debs/${package}"_*.deb "$scratch/tree"; done
  done
  [ -z "$(missing "$1")" ]
}

wrapper() { # a program that starts itself anew, as HAProxy's master does, finds its libraries again
  cat <<WRAPPER
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")/..
exec env LD_LIBRARY_PATH="$(cd "$scratch/tree" && libraries . | sed "s|\./|\$here/$1/|g")" "\$here/$1/$2" "\$@"
WRAPPER
}

unpack() {
  local packages package name program
  read -ra packages <<<"$1"
  name=${packages[0]}
  shift
  scratch_for "$name"
  { debian_apt "$(codename)" && fetch "${packages[@]}"; } || cannot "Debian's $name could not be fetched" "$help"
  for package in "${packages[@]}"; do dpkg-deb -x "$scratch/debs/${package}"_*.deb "$scratch/tree"; done
  mkdir "$scratch/wrappers"
  for program in "$@"; do
    with_libraries "$program" || cannot "${program##*/} lacks libraries here: $(missing "$program" | xargs)" "$help"
  done
  for program in "$@"; do
    wrapper "$name" "$program" >"$scratch/wrappers/${program##*/}"
    chmod +x "$scratch/wrappers/${program##*/}"
  done
  rm -rf ".parts/$name"
  mv "$scratch/tree" ".parts/$name"
  for program in "$@"; do
    mv "$scratch/wrappers/${program##*/}" ".parts/bin/${program##*/}" # the last one last: from now on all is there
  done
}
