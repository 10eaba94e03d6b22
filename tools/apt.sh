# An apt of our own under a scratch folder: it needs no root, and leaves the machine's apt as it is.
# Sourced. `debian_apt SUITE…` sets `apt` to the options; `fetch PACKAGE…` leaves .deb files in $scratch/debs.
# What is fetched is checked against the Debian archive's own key, whatever mirror it comes from.

key=/usr/share/keyrings/debian-archive-keyring.gpg

cannot() { # what could not be had, and the one line that helps
  echo "$1; run: $2" >&2
  exit 1
}

on_path() { # a program, also where only root's PATH looks
  PATH="$PATH:/usr/sbin:/usr/local/sbin:/sbin" command -v "$1" 2>/dev/null
}

one_at_a_time() { # who comes while another fetches waits, and then finds it there
  mkdir -p .parts/bin
  exec 9>.parts/lock
  ! command -v flock >/dev/null || flock 9
}

scratch_for() { # a folder for what is fetched for $1, gone at the end; those of interrupted runs go now
  rm -rf .parts/"$1".??????
  scratch=$(mktemp -d "$PWD/.parts/$1.XXXXXX")
  export TMPDIR=$scratch # of an interrupted apt, too
  trap 'rm -rf "$scratch"' EXIT
}

is_debian() {
  [ -e /etc/debian_version ] && [ -r "$key" ] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null
}

uris() { # what the machine's own sources name, in both of their notations
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    sed -nE 's/^[[:space:]]*(deb[[:space:]]+(\[[^]]*\][[:space:]]+)?|URIs:[[:space:]]*)([^[:space:]]+).*/\3/p'
}

source_of() { # one stanza: URI, suites
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$1" "$2" "$key"
}

debian_apt() { # the suites wanted from the machine's mirror
  local mirror security
  mirror=$(uris | grep -E '/debian/?$' | head -n 1)
  [ -n "$mirror" ] || return 1
  mkdir -p "$scratch"/lists/partial "$scratch"/cache/archives/partial "$scratch"/debs
  source_of "$mirror" "$*" >"$scratch/debian.sources"
  security=$(uris | grep -E '/debian-security/?$' | head -n 1)
  case "$*" in "$(codename)"*) [ -z "$security" ] || source_of "$security" "$(codename)-security" >>"$scratch/debian.sources" ;; esac
  apt=(-qq -o Dir::Etc::SourceList="$scratch/debian.sources" -o Dir::Etc::SourceParts=-
    -o Dir::Etc::Trusted=/dev/null -o Dir::Etc::TrustedParts=/dev/null
    -o Dir::State::Lists="$scratch/lists" -o Dir::Cache="$scratch/cache"
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::AllowInsecureRepositories=false
    -o Acquire::Retries=3 -o APT::Update::Error-Mode=any -o APT::Update::Post-Invoke-Success::=
    -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false)
  apt-get "${apt[@]}" update >&2
}

codename() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

fetch() {
  (cd "$scratch/debs" && apt-get "${apt[@]}" download "$@" >&2)
}
