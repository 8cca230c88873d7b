# The network of scripts/cluster, without what the CNI plugins and kube-proxy add to it: a namespace
# for each place, a switch between them, and the overlay between the nodes laid as Flannel's VXLAN
# backend lays it: no learning, fixed forwarding entry, neighbour and route for the other node.

node_ip() { # NODE
  echo "192.0.2.${1#node}"
}

pod_network() { # NODE, the first three bytes
  echo "10.244.${1#node}"
}

_vtep() { # NODE
  echo "02:00:5e:00:01:0${1#node}"
}

_make_node_network() { # NODE OTHER
  local namespace=$prefix-$1 own other
  own=$(pod_network "$1") other=$(pod_network "$2")
  at "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  # Replies between two pods of one node have to pass the rules that redirected their requests.
  at "$1" sh -c 'echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables' 2>/dev/null ||
    log "br_netfilter is missing: a Service's pods do not answer pods on their own node"
  ip -n "$prefix-cp" link add "$1" type veth peer name eth0 netns "$namespace"
  ip -n "$prefix-cp" link set "$1" master switch up
  ip -n "$namespace" -batch - <<END
    link set lo up
    addr add $(node_ip "$1")/24 dev eth0
    link set eth0 up
    route add default via $control_plane_ip
    # Clouds keep facts on their machines here. A kubelet asks for them, and learns at once that it
    # is in none.
    route add unreachable 169.254.0.0/16

    link add flannel.1 address $(_vtep "$1") mtu 1450 type vxlan id 1 local $(node_ip "$1") dev eth0 dstport 8472 nolearning
    addr add $own.0/32 dev flannel.1
    link set flannel.1 up
    neigh add $other.0 lladdr $(_vtep "$2") dev flannel.1 nud permanent
    route add $other.0/24 via $other.0 dev flannel.1 onlink
END
  bridge -n "$namespace" fdb append "$(_vtep "$2")" dev flannel.1 dst "$(node_ip "$2")"
  ip -n "$prefix-cp" route add "$own.0/24" via "$(node_ip "$1")"
}

make_network() {
  local place
  modprobe br_netfilter 2>/dev/null || true
  for place in "${places[@]}"; do ip netns add "$prefix-$place"; done
  ip -n "$prefix-cp" -batch - <<END
    link set lo up
    link add switch type bridge
    addr add $control_plane_ip/24 dev switch
    link set switch up
END
  _make_node_network node1 node2
  _make_node_network node2 node1
}
