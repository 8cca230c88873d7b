# What a node of scripts/cluster sees of this machine: run in namespaces of mounts and host name made
# for it, as
# node_files.sh RUN STATE NODE COMMAND... Enters: the cluster's directories /run/PREFIX and
# /var/lib/PREFIX, and the node's name. Leaves: COMMAND in this process, with
# - /run and /var/lib empty but for the cluster's own directory, and /var/log the node's own, so that
#   fixed paths in containerd, the kubelet and the CNI plugins neither meet nor stay behind;
# - its own host name, which pods in its network have too;
# - no name server, because none is reached from here;
# - copies in the place of the settings of the kernel that a kubelet sets on a machine of its own;
# - mounts shared among all processes of the node, so that containerd sees what the kubelet mounts.
# Without mount's own record in /run/mount, which is not there while /run is exchanged.
set -euo pipefail
run=$1 state=$2 node=$3
shift 3

leave_only() { # DIRECTORY KEPT
  local new=$run/$node/new kept
  kept=$new/$(basename "$2")
  mkdir -p "$new"
  mount -n -t tmpfs -o mode=755 "$node" "$new"
  mkdir "$kept"
  mount -n --bind "$2" "$kept"
  mount -n --move "$new" "$1"
}

leave_only /run "$run"
leave_only /var/lib "$state"
mkdir -p /run/lock "$state/$node/log"
mount -n --bind "$state/$node/log" /var/log
if [ -f /etc/resolv.conf ]; then mount -n --bind "$run/$node/resolv.conf" /etc/resolv.conf; fi

for setting in vm/{overcommit_memory,panic_on_oom} kernel/{panic,panic_on_oops} \
  kernel/keys/root_max{keys,bytes}; do
  copy=$run/$node/settings/$setting
  [ -f "/proc/sys/$setting" ] || continue
  mkdir -p "$(dirname "$copy")"
  cat "/proc/sys/$setting" >"$copy"
  mount -n --bind "$copy" "/proc/sys/$setting"
done

echo "$node" >/proc/sys/kernel/hostname
mount -n --make-rshared /
exec "$@"
