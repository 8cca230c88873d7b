# A node of scripts/cluster: containerd, kubelet and kube-proxy in the network namespace PREFIX-NODE
# and namespaces of mounts and host name that containerd's process holds, so that each can go and come alone.
# Leaves: $run/NODE for what a reboot may take, $state/NODE for the rest.

readonly pause_image=localhost/podperf-pause:1

_ctr() { # NODE ARGS...
  ctr --address "$run/$1/containerd.sock" --namespace k8s.io "${@:2}"
}

_write_pod_network() { # NODE
  cat <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "mtu": 1450,
   "ipam": {"type": "host-local", "dataDir": "$state/$1/addresses",
            "ranges": [[{"subnet": "$(pod_network "$1").0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
}

_write_containerd_config() { # NODE
  cat <<END
version = 2
root = "$state/$1/containerd"
state = "$run/$1/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$run/$1/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(plugin_directory)"
    conf_dir = "$run/$1/cni"
END
}

# No cgroups for classes of pods: they would need every cgroup controller. No garbage collection of
# images: they could not be fetched again.
_write_kubelet_config() { # NODE
  cat <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $(node_ip "$1")
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: $run/pki/ca.crt}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
evictionHard: {}
failSwapOn: false
imageGCHighThresholdPercent: 100
kubeAPIBurst: 200
kubeAPIQPS: 100
nodeStatusReportFrequency: 1m
nodeStatusUpdateFrequency: 2s
resolvConf: $run/$1/resolv.conf
syncFrequency: 10s
volumePluginDir: $state/$1/volume-plugins
END
}

start_containerd() { # NODE
  mkdir -p "$run/$1/cni" "$state/$1"
  _write_pod_network "$1" >"$run/$1/cni/pods.conflist"
  _write_containerd_config "$1" >"$run/$1/containerd.toml"
  _write_kubelet_config "$1" >"$run/$1/kubelet.yaml"
  : >"$run/$1/resolv.conf"
  # Not `ip netns exec`: it mounts a fresh /sys, without the cgroups that containers need.
  launch "$1-containerd" nsenter --net="/run/netns/$prefix-$1" unshare --mount --uts \
    bash "$lib/node_files.sh" "$run" "$state" "$1" \
    containerd --config "$run/$1/containerd.toml"
}

wait_for_containerd() { # NODE
  wait_for 60 "$1-containerd" "$1's containerd to answer" _ctr "$1" version
}

_inside() { # NODE NAME COMMAND...: launches it beside containerd
  local pid
  pid=$(pid_of "$1-containerd") || fail "$1's containerd is not running"
  launch "$1-$2" nsenter --target "$pid" --mount --uts --net -- "${@:3}"
}

start_kubelet() { # NODE
  _inside "$1" kubelet "$bin/kubelet" --config="$run/$1/kubelet.yaml" \
    --kubeconfig="$run/$1.kubeconfig" --hostname-override="$1" --node-ip="$(node_ip "$1")" \
    --root-dir="$state/$1/kubelet" --cert-dir="$state/$1/pki" --container-runtime=remote \
    --container-runtime-endpoint="unix://$run/$1/containerd.sock" \
    --pod-infra-container-image=$pause_image
}

kubelet_is_healthy() { # NODE
  at "$1" timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/10248
    printf "GET /healthz HTTP/1.0\r\n\r\n" >&3
    grep -q "^ok" <&3'
}

# The limits of connection tracking are the whole machine's, and stay as they are.
start_proxy() { # NODE
  _inside "$1" proxy "$bin/kube-proxy" --kubeconfig="$run/proxy.kubeconfig" \
    --hostname-override="$1" --bind-address="$(node_ip "$1")" --proxy-mode=iptables \
    --cluster-cidr=10.244.0.0/16 --conntrack-max-per-core=0 --conntrack-min=0 \
    --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s
}

# The image that holds a pod's namespaces open, as a docker-archive made by tar alone.
make_pause_image() {
  local work sum
  work=$(mktemp -d)
  mkdir "$work/root"
  cp "$bin/pause" "$work/root/pause"
  tar -cf "$work/layer.tar" -C "$work/root" pause
  sum=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
  cat >"$work/config.json" <<END
{"architecture": "$(dpkg --print-architecture)", "os": "linux", "config": {"Entrypoint": ["/pause"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$sum"]}}
END
  cat >"$work/manifest.json" <<END
[{"Config": "config.json", "RepoTags": ["$pause_image"], "Layers": ["layer.tar"]}]
END
  tar -cf "$run/pause.tar" -C "$work" manifest.json config.json layer.tar
  rm -rf "$work"
}

# Says which images it put there. Names are looked at first in a namespace of containerd that no
# kubelet knows: one that is a tag alone lets every container of that image fail, under its other
# names too, until containerd starts anew.
import_images() { # NODE FILE
  local name names
  _ctr "$1" --namespace look images import --no-unpack "$2" >/dev/null || return 1
  mapfile -t names < <(_ctr "$1" --namespace look images ls -q)
  if [ ${#names[@]} = 0 ]; then
    log "$2: no image in it has a name"
    return 1
  fi
  _ctr "$1" --namespace look images rm "${names[@]}" >/dev/null || return 1
  for name in "${names[@]}"; do
    if [[ $name != */* ]]; then
      log "$2: '${name#*:}' is no full name of an image, as localhost/podperf:1 is"
      return 1
    fi
  done
  _ctr "$1" images import "$2" >/dev/null || return 1
  wait_until 30 "$1 to know the images of $2" _images_are_known "$1"
  printf "$1: %s\n" "${names[@]}"
}

# The part of containerd that speaks with the kubelet hears of new images a moment later.
_images_are_known() { # NODE
  local unknown
  unknown=$(_ctr "$1" images ls -q 'labels."io.cri-containerd.image"!=managed') && [ -z "$unknown" ]
}

# Directories of the cgroup filesystems that belong to the node's containers.
_container_cgroups() { # NODE
  find "$run/$1/containerd/io.containerd.runtime.v2.task/k8s.io" -mindepth 1 -maxdepth 1 \
    -printf '%f\n' 2>/dev/null |
    awk 'NR == FNR { known[$1] = 1; next } $1 in known { print $2 }' - \
      <(find /sys/fs/cgroup -type d -printf '%f %p\n' 2>/dev/null)
}

# Process ids of the shims that stand between containerd and the node's containers.
_shims() { # NODE
  local comm name
  for comm in /proc/[0-9]*/comm; do
    read -r name <"$comm" || continue
    [[ $name == containerd-shim* ]] || continue
    if grep -qsF "$run/$1/containerd.sock" "${comm%comm}cmdline"; then
      basename "${comm%/comm}"
    fi
  done 2>/dev/null
}

_processes_in() { # CGROUP...
  local cgroup
  for cgroup; do cat "$cgroup/cgroup.procs" 2>/dev/null || true; done | sort -u
}

# Ends containers and their shims, and removes their cgroups. All their mounts go with the last
# process of the node's mount namespace.
end_containers() { # NODE
  local cgroups cgroup pids
  mapfile -t cgroups < <(_container_cgroups "$1" | sort -r)
  mapfile -t pids < <(_shims "$1"; _processes_in ${cgroups[@]+"${cgroups[@]}"})
  kill_and_wait ${pids[@]+"${pids[@]}"}
  for cgroup in ${cgroups[@]+"${cgroups[@]}"}; do
    wait_until 5 "the cgroup $cgroup to be removed" rmdir "$cgroup"
  done
  for cgroup in /sys/fs/cgroup/k8s.io /sys/fs/cgroup/*/k8s.io; do
    rmdir "$cgroup" 2>/dev/null || true
  done
}
