# Debian packages for the other scripts: sourced by shell scripts, or run as
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

# The work of fetch_netperf, in the empty directory $1, for $2.
_fetch_netperf_by_way_of() {
  local work=$1 into=$2
  local options=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/sources"
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o Acquire::Languages=none)
  mkdir -p "$work/sources" "$work/lists/partial" "$work/archives/partial" "$work/package" "$into" &&
    chmod -R a+rX "$work" || return 1
  # apt downloads as its own user where it can.
  if [ "$(id -u)" = 0 ] && id _apt >/dev/null 2>&1; then
    chown _apt "$work/lists/partial" "$work/package" || return 1
  fi
  sources_with_non_free /etc/apt "$work/sources" &&
    apt-get "${options[@]}" update >&2 &&
    (cd "$work/package" && apt-get "${options[@]}" download netperf >&2) &&
    dpkg-deb -x "$work"/package/netperf_*.deb "$into"
}

# fetch_netperf DIR: unpacks Debian's netperf to DIR/usr/bin without installing it, because the
# package starts netserver, which answers anybody, as a service. netperf stands in non-free; a copy
# of apt's sources with that component is used for this download alone.
fetch_netperf() {
  local work status=0
  if [ -x "$1/usr/bin/netperf" ]; then return 0; fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "netperf is missing, and this is not Debian: install netperf" >&2
    return 1
  fi
  echo "fetching Debian's netperf (non-free) to $1" >&2
  work=$(mktemp -d) || return 1
  _fetch_netperf_by_way_of "$work" "$1" || status=1
  rm -rf "$work"
  if [ $status != 0 ]; then
    echo "netperf is missing: Debian's package could not be fetched from non-free" >&2
  fi
  return $status
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  case ${1:-} in
    --netperf) fetch_netperf "${2:?directory}" ;;
    *) need_command "${1:?command}" "${@:2}" ;;
  esac
fi
