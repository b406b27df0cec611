#!/bin/sh
# What the manifests name and do not hold. Run it again at any time: secrets that are there are left alone,
# and public keys become those of the folders.
#
#   sh envoy/kubernetes/setup.sh PEOPLE BUNDLE-KEYS
#
# PEOPLE is a folder with the public keys of who may release (NAME.pub; NAME.until.RECORD.pub of one that signs
# no more), BUNDLE-KEYS one with those that sign bundles (KEYID.pub). Secrets are made here, go to kubectl by
# standard input, and are kept nowhere else.
set -eu
people=$1
bundle_keys=$2

public() {
    kubectl -n maestro create configmap "$1" --from-file="$2" --dry-run=client -o yaml |
        kubectl -n maestro apply -f -
}
missing() {
    ! kubectl -n "$1" get secret "$2" --ignore-not-found -o name | grep -q .
}

public people "$people"
public bundle-keys "$bundle_keys"

# The guards of a region hold the same context keys as its gateways, and no mask keys.
if missing maestro-eu gateway-keys; then
    mask="k1:$(openssl rand -base64 32)"
    context="c1:$(openssl rand -base64 32)"
    printf 'IG_MASK_KEYS=%s\nIG_CONTEXT_KEYS=%s\n' "$mask" "$context" |
        kubectl -n maestro-eu create secret generic gateway-keys --from-env-file=/dev/stdin
fi
if missing assets-eu guard-keys; then
    context=$(kubectl -n maestro-eu get secret gateway-keys -o 'jsonpath={.data.IG_CONTEXT_KEYS}' | base64 -d)
    printf 'IG_CONTEXT_KEYS=%s\n' "$context" |
        kubectl -n assets-eu create secret generic guard-keys --from-env-file=/dev/stdin
fi
