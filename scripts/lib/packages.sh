# Debian packages, and tools of cargo's, for the other scripts: sourced by shell scripts, or run as
# `bash packages.sh COMMAND PACKAGE...` and `bash packages.sh --netperf DIR`.
# Enters: what is needed. Leaves: status 0 and the command usable, or 1 and a line that says why not.
# Says what it installs; never changes which sources apt knows.

_apt_lists_updated=no

# A system administrator's commands are not in every user's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# need_command COMMAND PACKAGE...: COMMAND is there, or is installed from the PACKAGEs.
need_command() {
  local wanted=$1
  shift
  if command -v "$wanted" >/dev/null; then return 0; fi
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$wanted is missing: install it (Debian: apt-get install $*), or run this as root on Debian" >&2
    return 1
  fi
  echo "installing Debian's $*, for $wanted" >&2
  if [ $_apt_lists_updated = no ]; then
    apt-get -qq update >&2 || echo "apt-get update failed; trying with the lists there are" >&2
    _apt_lists_updated=yes
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >&2 &&
    command -v "$wanted" >/dev/null && return 0
  echo "$wanted is missing: Debian's $* could not be installed" >&2
  return 1
}

# need_cargo_tool DIR TOOL VERSION: DIR/bin/TOOL, or else a TOOL in PATH, is of this VERSION, or is built from
# the registry, without optimization, because it runs for seconds. Leaves PATH with it.
need_cargo_tool() {
  PATH=$1/bin:$PATH
  if [ "$("$2" --version 2>/dev/null)" = "$2 $3" ]; then return 0; fi
  echo "building $2 $3" >&2
  env -u CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 CARGO_PROFILE_RELEASE_DEBUG=false \
    cargo install --quiet --locked --root "$1" --version "$3" "$2" </dev/null >&2 && return 0
  echo "$2 $3 could not be built: install it (cargo install --locked --version $3 $2)" >&2
  return 1
}

# sources_with_non_free FROM TO: copies apt's configured sources, from a directory like /etc/apt to
# another, with the component non-free beside main.
sources_with_non_free() {
  local file
  for file in "$1"/sources.list "$1"/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -nE '/^deb[[:space:]].*[[:space:]]main([[:space:]]|$)/s/$/ non-free/p' "$file" \
      >"$2/$(basename "$file")"
  done
  for file in "$1"/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    sed -E '/^Components:.*[[:space:]]main([[:space:]]|$)/s/$/ non-free/' "$file" \
      >"$2/$(basename "$file")"
  done
}

# sources_with_source_packages FROM TO: likewise, with source packages beside the others.
sources_with_source_packages() {
  local file
  for file in "$1"/sources.list "$1"/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -nE '/^deb[[:space:]]/{p; s/^deb/deb-src/p}' "$file" >"$2/$(basename "$file")"
  done
  for file in "$1"/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    # What stood there twice, apt would lament at length.
    sed -E 's/^Types:[[:space:]]*deb-src[[:space:]]*$/&\nEnabled: no/
      s/^Types:.*[[:space:]]deb([[:space:]].*)?$/Types: deb deb-src/' "$file" \
      >"$2/$(basename "$file")"
  done
}

# private_apt WORK SOURCES: readies an apt with sources and lists of its own in the empty directory
# WORK; the function SOURCES writes them from /etc/apt. Leaves its command in the array `apt`, and
# $WORK/package to download to.
private_apt() {
  apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$1/sources"
    -o "Dir::State::Lists=$1/lists" -o "Dir::Cache=$1" -o Acquire::Languages=none)
  mkdir -p "$1/sources" "$1/lists/partial" "$1/archives/partial" "$1/package" &&
    chmod -R a+rX "$1" || return 1
  # apt downloads as its own user where it can.
  if [ "$(id -u)" = 0 ] && id _apt >/dev/null 2>&1; then
    chown _apt "$1/lists/partial" "$1/package" || return 1
  fi
  "$2" /etc/apt "$1/sources" && "${apt[@]}" update >&2
}

# with_private_apt SOURCES COMMAND...: runs COMMAND in the empty directory to download to.
with_private_apt() {
  local work apt status=0
  work=$(mktemp -d) || return 1
  { private_apt "$work" "$1" && (cd "$work/package" && "${@:2}"); } || status=1
  rm -rf "$work"
  return $status
}

_unpack_into() { # DIR PACKAGE...
  local file
  "${apt[@]}" download "${@:2}" >&2 || return 1
  for file in *.deb; do dpkg-deb -x "$file" "$1" || return 1; done
}

# unpack_packages DIR PACKAGE...: unpacks Debian's packages there, without installing them.
unpack_packages() {
  mkdir -p "$1" &&
    with_private_apt sources_with_source_packages _unpack_into "$(realpath "$1")" "${@:2}"
}

_source_into() { # DIR PACKAGE
  "${apt[@]}" source --download-only "$2" >&2 && mv ./* "$1"
}

# fetch_source DIR PACKAGE: downloads the files of a source package to DIR, which is there, without unpacking them.
fetch_source() {
  with_private_apt sources_with_source_packages _source_into "$(realpath "$1")" "$2"
}

# fetch_netperf DIR: unpacks Debian's netperf to DIR/usr/bin without installing it, because the
# package starts netserver, which answers anybody, as a service. netperf stands in non-free; a copy
# of apt's sources with that component is used for this download alone.
fetch_netperf() {
  if [ -x "$1/usr/bin/netperf" ]; then return 0; fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "netperf is missing, and this is not Debian: install netperf" >&2
    return 1
  fi
  echo "fetching Debian's netperf (non-free) to $1" >&2
  mkdir -p "$1" &&
    with_private_apt sources_with_non_free _unpack_into "$(realpath "$1")" netperf && return 0
  echo "netperf is missing: Debian's package could not be fetched from non-free" >&2
  return 1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  case ${1:-} in
    --netperf) fetch_netperf "${2:?directory}" ;;
    *) need_command "${1:?command}" "${@:2}" ;;
  esac
fi
