#!/bin/sh
# What the manifests name and do not hold. Run it once: what exists already is not replaced.
#
#   sh envoy/kubernetes/setup.sh PEOPLE BUNDLE-KEYS
#
# PEOPLE is a folder with the public keys of who may release (NAME.pub), BUNDLE-KEYS one with those that sign
# bundles (KEYID.pub). Secrets are made here, go to kubectl by standard input, and are kept nowhere else.
set -eu
people=$1
bundle_keys=$2

kubectl -n maestro create configmap people --from-file="$people"
kubectl -n maestro create configmap bundle-keys --from-file="$bundle_keys"

# The guards of a region hold the same context keys as its gateways, and no mask keys.
mask="k1:$(openssl rand -base64 32)"
context="c1:$(openssl rand -base64 32)"
printf 'IG_MASK_KEYS=%s\nIG_CONTEXT_KEYS=%s\n' "$mask" "$context" |
    kubectl -n maestro-eu create secret generic gateway-keys --from-env-file=/dev/stdin
printf 'IG_CONTEXT_KEYS=%s\n' "$context" |
    kubectl -n assets-eu create secret generic guard-keys --from-env-file=/dev/stdin
