# The control plane of scripts/cluster, in the namespace PREFIX-cp. Enters: the network and the
# identities. Leaves: running processes; the state is etcd's, in $state/etcd.

# What was alpha in 1.20 and is on by default since 1.21.
readonly feature_gates=TTLAfterFinished=true

start_etcd() {
  launch etcd ip netns exec "$prefix-cp" etcd --data-dir "$state/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
}

start_apiserver() {
  local pki=$run/pki
  launch apiserver ip netns exec "$prefix-cp" "$bin/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:2379 --feature-gates=$feature_gates \
    --bind-address=0.0.0.0 --secure-port=6443 --advertise-address=$control_plane_ip \
    --cert-dir="$pki" --tls-cert-file="$pki/apiserver.crt" \
    --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --token-auth-file="$pki/tokens.csv" --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction,PodSecurityPolicy,ResourceQuota \
    --allow-privileged=true --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$pki/kubelet-client.crt" \
    --kubelet-client-key="$pki/kubelet-client.key" --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/service-accounts.key" \
    --service-account-signing-key-file="$pki/service-accounts.key"
  wait_for 120 apiserver "the API server to be ready" kubectl_ get --raw /readyz
}

# Allowed to ask more often than their defaults allow: hundreds of Services come and go at once.
start_controllers() {
  launch controller-manager ip netns exec "$prefix-cp" "$bin/kube-controller-manager" \
    --kubeconfig="$run/controller-manager.kubeconfig" --feature-gates=$feature_gates \
    --leader-elect=false --cert-dir="$run/pki" --root-ca-file="$run/pki/ca.crt" \
    --use-service-account-credentials=true --flex-volume-plugin-dir="$state/volume-plugins" \
    --service-account-private-key-file="$run/pki/service-accounts.key" \
    --kube-api-qps=300 --kube-api-burst=600 --concurrent-gc-syncs=50 \
    --concurrent-endpoint-syncs=20 --concurrent-service-endpoint-syncs=20
  launch scheduler ip netns exec "$prefix-cp" "$bin/kube-scheduler" \
    --kubeconfig="$run/scheduler.kubeconfig" --leader-elect=false --cert-dir="$run/pki" \
    --kube-api-qps=300 --kube-api-burst=600
}

# Ready, and the taints that said otherwise are taken away.
nodes_take_pods() {
  local seen
  seen=$(kubectl_ get nodes -o \
    jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{.spec.taints}{","}{end}')
  [ "$seen" = True,True, ]
}
