# Who is who in the cluster: keys, certificates, tokens and kubeconfigs, all made anew by each `up`
# of scripts/cluster. Leaves: $run/pki, and $run/WHO.kubeconfig; only root reads them.

readonly control_plane_ip=192.0.2.254 first_service_ip=10.96.0.1

_key() { # NAME
  openssl ecparam -name prime256v1 -genkey -noout -out "$run/pki/$1.key"
}

_certificate() { # NAME SUBJECT [EXTENSION]
  _key "$1"
  openssl req -new -key "$run/pki/$1.key" -subj "$2" -out "$run/pki/$1.csr"
  openssl x509 -req -in "$run/pki/$1.csr" -CA "$run/pki/ca.crt" -CAkey "$run/pki/ca.key" \
    -CAcreateserial -days 3650 -extfile <(echo "${3:-}") -out "$run/pki/$1.crt" 2>/dev/null
}

_kubeconfig() { # WHO USER [GROUP]
  local token
  token=$(openssl rand -hex 16)
  echo "$token,$2,$1${3:+,$3}" >>"$run/pki/tokens.csv"
  cat >"$run/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: $prefix
contexts:
- name: $prefix
  context: {cluster: $prefix, user: $1}
clusters:
- name: $prefix
  cluster:
    server: https://$control_plane_ip:6443
    certificate-authority-data: $(base64 -w 0 "$run/pki/ca.crt")
users:
- name: $1
  user: {token: $token}
END
}

make_identities() {
  local node old_mask
  old_mask=$(umask)
  umask 077
  mkdir "$run/pki"
  _key ca
  openssl req -x509 -key "$run/pki/ca.key" -days 3650 -subj "/CN=$prefix" -out "$run/pki/ca.crt"
  _certificate apiserver /CN=kube-apiserver \
    "subjectAltName=IP:$control_plane_ip,IP:127.0.0.1,IP:$first_service_ip,DNS:kubernetes.default.svc"
  # The kubelets answer nobody but the API server.
  _certificate kubelet-client /CN=kube-apiserver-kubelet-client extendedKeyUsage=clientAuth
  _key service-accounts
  _kubeconfig admin admin system:masters
  _kubeconfig controller-manager system:kube-controller-manager
  _kubeconfig scheduler system:kube-scheduler
  _kubeconfig proxy system:kube-proxy
  for node in "${nodes[@]}"; do _kubeconfig "$node" "system:node:$node" system:nodes; done
  umask "$old_mask"
}
