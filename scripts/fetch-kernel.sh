#!/bin/sh
# Downloads Debian's 6.1 cloud kernel for the test machines: fetched, never installed. Nothing to do if it is there.
# usage: fetch-kernel.sh [DIRECTORY]
set -eu
dir=${1:-${WEIR_CACHE:-/var/cache/weir}}
ls "$dir"/linux-image-*.deb >/dev/null 2>&1 && exit 0
mkdir -p "$dir"
name=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-6\.1[^ ]*\).*/\1/p' | head -n 1)
[ -n "$name" ] || { echo "fetch-kernel: apt knows no linux-image-cloud-amd64 (run: apt-get update)" >&2; exit 1; }
echo "setup: downloading $name for the kernel matrix"
scratch=$(mktemp -d "$dir/download.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# Without apt's own user, who may not write here.
(cd "$scratch" && apt-get download -qq -o APT::Sandbox::User=root "$name")
mv "$scratch"/*.deb "$dir/"
