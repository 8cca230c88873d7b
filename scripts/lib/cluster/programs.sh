# The programs that scripts/cluster starts. Leaves: Kubernetes in $bin, compiled from Debian's source
# package; in $debian what Debian compiled and this machine lacks, unpacked and not installed,
# because the packages of etcd and containerd start services and displace other container engines.

readonly kubernetes=1.20.2 source_version=1.20.5+really1.20.2
readonly programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl pause)

# $bin is put in place as a whole; what an interrupted build leaves stands elsewhere.
is_built() {
  local program
  for program in "${programs[@]}"; do [ -x "$bin/$program" ] || return 1; done
}

plugin_directory() {
  local directory
  for directory in "$debian/usr/lib/cni" /usr/lib/cni; do
    if [ -x "$directory/bridge" ] && [ -x "$directory/host-local" ] &&
      [ -x "$directory/portmap" ] && [ -x "$directory/loopback" ]; then
      echo "$directory"
      return 0
    fi
  done
  return 1
}

# This kubelet speaks no protocol of containerd 2.
_engines_are_there() {
  command -v etcd >/dev/null && command -v ctr >/dev/null && command -v runc >/dev/null &&
    command -v containerd-shim-runc-v2 >/dev/null && plugin_directory >/dev/null &&
    containerd --version 2>/dev/null | grep -Eq '[ v]1\.[0-9]+\.'
}

need_tools() {
  need_command ip iproute2 && need_command iptables iptables && need_command conntrack conntrack &&
    need_command openssl openssl && need_command modprobe kmod || return 1
  _engines_are_there && return 0
  log "fetching Debian's etcd, containerd, runc and CNI plugins to $debian"
  rm -rf "$debian"
  mkdir -p "$cache"
  unpack_packages "$debian" etcd-server containerd runc containernetworking-plugins &&
    _engines_are_there && return 0
  log "etcd, containerd, runc and CNI plugins are needed, and Debian's could not be fetched"
  return 1
}

# A checkout as its build wants it, and no Git repository around it.
_unpack_source() { # WORK
  local archive tree=$1/go/src/k8s.io/kubernetes
  mkdir -p "$1/source" "$tree"
  fetch_source "$1/source" kubernetes || return 1
  archive=$1/source/kubernetes_$source_version.orig.tar.gz
  if [ ! -f "$archive" ]; then
    log "the source package of Kubernetes $kubernetes is Debian 12's; here apt offers" \
      "$(basename "$1"/source/*.dsc)"
    return 1
  fi
  tar -xzf "$archive" -C "$tree" --strip-components=1 && git -C "$tree" init -q
}

_compile() { # WORK
  local command vendor=k8s.io/kubernetes/vendor/k8s.io package
  local -x GOPATH=$1/go GOCACHE=$1/gocache GO111MODULE=off GOFLAGS='' GOENV=off
  local -x KUBE_GIT_VERSION=v$kubernetes KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
  local -x KUBE_GIT_COMMIT=0 KUBE_GIT_TREE_STATE=archive
  # Kubernetes 1.20 and Debian's compiler fit; a newer one may stand first in PATH.
  local -x PATH=/usr/lib/go/bin:$PATH
  cd "$1/go/src/k8s.io/kubernetes"
  log "generating the OpenAPI definitions"
  make gen_openapi >"$1/make.log" 2>&1 || { tail -n 20 "$1/make.log" >&2; return 1; }
  log "compiling Kubernetes $kubernetes"
  mkdir "$1/bin"
  local packages=()
  for command in "${programs[@]}"; do
    if [ "$command" != pause ]; then packages+=("k8s.io/kubernetes/cmd/$command"); fi
  done
  # The API server tells client-go's version, all others that of component-base.
  local flags='-s -w'
  for package in component-base/version client-go/pkg/version; do
    flags+=" -X $vendor/$package.gitVersion=v$kubernetes"
    flags+=" -X $vendor/$package.gitMajor=1 -X $vendor/$package.gitMinor=20"
  done
  go build -o "$1/bin/" -ldflags "$flags" "${packages[@]}" &&
    gcc -O2 -static -o "$1/bin/pause" build/pause/linux/pause.c
}

build() {
  local work
  need_root
  mkdir -p "$cache"
  # Of two builds at once, the second finds the first one's work.
  exec 9>"$cache/lock"
  flock -w 3600 9 || fail "another build is at work in $cache for more than an hour"
  need_tools || exit 3
  if is_built; then
    log "Kubernetes is built already, in $bin"
    return 0
  fi
  for work in "go golang-go" "gcc gcc libc6-dev" "make make" "git git" "rsync rsync" "jq jq"; do
    # shellcheck disable=SC2086 # words
    need_command ${work/#go /\/usr\/lib\/go\/bin\/go } || exit 3
  done
  rm -rf "$cache"/building.*
  work=$(mktemp -d "$cache/building.XXXXXX")
  # shellcheck disable=SC2064 # the name as it is now
  trap "rm -rf '$work'" EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  _unpack_source "$work" || fail "the source of Kubernetes could not be fetched"
  (_compile "$work") || fail "Kubernetes could not be compiled"
  rm -rf "$bin"
  mv "$work/bin" "$bin"
  log "Kubernetes $kubernetes is built, in $bin"
}
