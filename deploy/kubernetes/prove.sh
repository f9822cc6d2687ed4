#!/usr/bin/env bash
# Runs the contract suite of the runtimes on a real cluster, in a namespace of its own that is deleted at the end.
#
#   deploy/kubernetes/prove.sh IMAGE HOST
#
# IMAGE is the endpoint's image (`make image`) as the cluster pulls it. HOST is an address of this machine that pods reach: the suite
# starts an MLflow server here, open to all addresses for as long as it runs. kubectl must reach the cluster.
set -euo pipefail
cd "$(dirname "$0")/../.."

[[ $# -eq 2 ]] || { sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
command -v kubectl > /dev/null || { echo "error: kubectl is not installed" >&2; exit 2; }

namespace="samovar-proof-$RANDOM"
kubectl create namespace "$namespace"
trap 'kubectl delete namespace "$namespace" --wait=false' EXIT
kubectl --namespace "$namespace" apply -f deploy/kubernetes/role.yaml

make --no-print-directory install
SAMOVAR_TEST_NAMESPACE="$namespace" SAMOVAR_TEST_IMAGE="$1" SAMOVAR_TEST_HOST="$2" \
  .venv/bin/pytest tests/autoserve/runtimes/test_contract.py -m "" --timeout 900 -v
